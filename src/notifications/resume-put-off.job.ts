import { resumePutOffTask } from '../apps/end-pauses.ts';
import { hastenPutOffPage } from '../deliveries/hasten-put-off.ts';
import type { Worker } from '../deliveries/worker.ts';
import type { Job } from '../queue/job.ts';
import { resumeDue } from './sweeper.ts';

/**
 * Has what a pause kept waiting looked at at once: what was due all the while, and what was put off, a page at a time. A worker
 * that stops leaves the rest to its time, which is not far.
 */
export const resumePutOffJob: Job<Worker, { pauseId: string }> = {
  ...resumePutOffTask,
  async run(worker, { pauseId }) {
    await resumeDue(worker);
    while ((await hastenPutOffPage(worker.db, pauseId)) && !worker.signal.aborted);
  },
};
