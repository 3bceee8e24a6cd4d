import { Logger as GraphileLogger, run, runMigrations } from 'graphile-worker';
import type pg from 'pg';
import type { Logger } from '../logger.ts';
import type { Job } from './job.ts';

/** Makes or updates the queue's own tables. Safe when several processes do it at once. */
export async function prepareQueue(pool: pg.Pool, log: Logger): Promise<void> {
  await runMigrations({ pgPool: pool, logger: graphileLogger(log) });
}

/** A process's share of the queue. */
export interface JobRunner {
  /** Takes no more jobs and resolves when those under way have ended. */
  stop(): Promise<void>;
}

/** Works off the queue, `concurrency` jobs at a time, until stopped. A job whose payload does not parse fails. */
export async function startJobRunner<Context>({
  pool,
  log,
  context,
  jobs,
  concurrency,
}: {
  pool: pg.Pool;
  log: Logger;
  context: Context;
  // Each job has a payload of its own type; it is parsed before the job sees it.
  jobs: readonly Job<Context, never>[];
  concurrency: number;
}): Promise<JobRunner> {
  const runner = await run({
    pgPool: pool,
    concurrency,
    // Graphile's LISTEN finds new jobs at once; the poll is for those whose time has come.
    pollInterval: 1_000,
    noHandleSignals: true,
    logger: graphileLogger(log),
    taskList: Object.fromEntries(
      jobs.map((job) => [job.name, (payload: unknown) => job.run(context, job.payload.parse(payload))]),
    ),
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
