import { Logger as GraphileLogger, run, runMigrations } from 'graphile-worker';
import type pg from 'pg';
import type { Logger } from '../logger.ts';
import type { Job } from './job.ts';

/** Makes or updates the queue's own tables. Safe when several processes do it at once. */
export async function prepareQueue(pool: pg.Pool, log: Logger): Promise<void> {
  await runMigrations({ pgPool: pool, logger: graphileLogger(log) });
}

/** A job with what it works with: takes any payload, and fails for one that does not parse. */
export interface BoundJob {
  name: string;
  run(payload: unknown): Promise<void>;
}

/** Gives a job what it works with. */
export function bindJob<Context, Payload>(job: Job<Context, Payload>, context: Context): BoundJob {
  return { name: job.name, run: (payload) => job.run(context, job.payload.parse(payload)) };
}

/** A process's share of the queue. */
export interface JobRunner {
  /** Takes no more jobs and resolves when those under way have ended. */
  stop(): Promise<void>;
}

/** Works off the queue, `concurrency` jobs at a time, until stopped. */
export async function startJobRunner({
  pool,
  log,
  tasks,
  concurrency,
}: {
  pool: pg.Pool;
  log: Logger;
  tasks: readonly BoundJob[];
  concurrency: number;
}): Promise<JobRunner> {
  const runner = await run({
    pgPool: pool,
    concurrency,
    // Graphile's LISTEN finds new jobs at once; the poll is for those whose time has come.
    pollInterval: 1_000,
    noHandleSignals: true,
    logger: graphileLogger(log),
    taskList: Object.fromEntries(tasks.map(({ name, run: work }) => [name, work])),
  });
  return { stop: () => runner.stop() };
}

/** Graphile's own messages: only what is wrong matters here. They may quote a payload, so only their level is kept in full. */
function graphileLogger(log: Logger): GraphileLogger {
  return new GraphileLogger(() => (level, message, meta) => {
    if (level !== 'error' && level !== 'warning') return;
    const error = meta && 'error' in meta ? meta.error : undefined;
    log[level === 'error' ? 'error' : 'warn']({ err: error, task: meta?.job ? 'job' : undefined }, message);
  });
}
