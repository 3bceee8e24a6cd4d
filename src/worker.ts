import type pg from 'pg';
import { deliverJob } from './deliveries/deliver.job.ts';
import type { Worker } from './deliveries/worker.ts';
import { fanOutJob } from './notifications/fan-out.job.ts';
import { sweep } from './notifications/sweeper.ts';
import { bindJob, startJobRunner } from './queue/job-runner.ts';

/** How a worker works. Tests shorten the times. */
export interface WorkerOptions {
  /** How long a claim holds without a renewal. @default 60 // seconds */
  leaseSeconds?: number;
  /** How often what a dead worker left is looked for. @default 10_000 // 10 seconds */
  sweepMs?: number;
}

/** Jobs at a time in one process. @default 4 */
const concurrency = 4;

/**
 * Begins to deliver, and goes on until stopped: then nothing new is begun, what has not begun is given back, and sends
 * under way are waited for (a provider's timeout at most).
 *
 * @param isAlone no other worker can be alive: what an earlier process held is taken back at once.
 */
export async function startWorker(
  parts: Omit<Worker, 'signal' | 'leaseSeconds'> & { pool: pg.Pool; isAlone: boolean },
  { leaseSeconds = 60, sweepMs = 10_000 }: WorkerOptions,
): Promise<{ stop(): Promise<void> }> {
  const { pool, isAlone, ...deployment } = parts;
  const stopping = new AbortController();
  const worker: Worker = { ...deployment, leaseSeconds, signal: stopping.signal };
  await sweep(worker, { isAlone });
  const runner = await startJobRunner({
    pool,
    log: worker.log,
    tasks: [bindJob(fanOutJob, worker), bindJob(deliverJob, worker)],
    concurrency,
  });
  let sweeping: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    sweeping = sweeping.then(() =>
      sweep(worker).catch((err: unknown) =>
        worker.log.error({ err }, 'What a worker may have left behind could not be looked for.'),
      ),
    );
  }, sweepMs);
  return {
    async stop() {
      stopping.abort();
      clearInterval(timer);
      await sweeping;
      await runner.stop();
    },
  };
}
