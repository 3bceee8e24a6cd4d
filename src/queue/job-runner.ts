import { setTimeout as sleep } from 'node:timers/promises';
import { Logger as GraphileLogger, type Runner, run, runMigrations } from 'graphile-worker';
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

interface JobRunnerOptions {
  pool: pg.Pool;
  log: Logger;
  tasks: readonly BoundJob[];
  /** Jobs at a time. */
  concurrency: number;
  /** Called when it goes on after an outage, which may have left jobs behind that nobody works on. Does not reject. */
  onRestart: () => Promise<void>;
}

/** How long the database is left alone after the queue has failed. */
const restartMs = 1_000;

/**
 * Works off the queue, `concurrency` jobs at a time, until stopped. Graphile gives up when it cannot tell the database
 * how a job ended (it was away, say), so it is started anew then, beside what is still under way. That job stays locked;
 * `onRestart` sees to its work.
 */
export async function startJobRunner(options: JobRunnerOptions): Promise<JobRunner> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  const underWay = new Set<Promise<void>>();
  let crew: Crew | null = await startCrew(options, underWay);

  async function replaceWhenLost(): Promise<void> {
    while (!signal.aborted) {
      await Promise.race([crew?.lost, stopped]);
      await crew?.stop();
      crew = null;
      // A stop wakes it from its sleep.
      await sleep(restartMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        crew = await startCrew(options, underWay);
        await Promise.race([options.onRestart(), stopped]);
      } catch (err) {
        options.log.warn({ err }, 'The job queue cannot be read yet.');
      }
    }
  }

  async function work(): Promise<void> {
    await replaceWhenLost();
    await crew?.stop();
    while (underWay.size > 0) await Promise.allSettled(underWay);
  }

  const end = work();
  return {
    stop() {
      stopping.abort();
      return end;
    },
  };
}

/** Graphile's runner, until it is lost or stopped. */
interface Crew {
  /** Resolves when it takes no more jobs. */
  lost: Promise<void>;
  /** Resolves when the jobs under way have ended and the queue knows, or, where it is lost, at once. Never rejects. */
  stop(): Promise<void>;
}

/** @param underWay holds each job of the crew for as long as it runs, also when the crew is lost. */
async function startCrew(
  { pool, log, tasks, concurrency }: JobRunnerOptions,
  underWay: Set<Promise<void>>,
): Promise<Crew> {
  const observe = (job: Promise<void>) => {
    underWay.add(job);
    const forget = () => void underWay.delete(job);
    job.then(forget, forget);
    return job;
  };
  const runner = await run({
    pgPool: pool,
    noHandleSignals: true,
    logger: graphileLogger(log),
    taskList: Object.fromEntries(tasks.map(({ name, run: work }) => [name, (payload) => observe(work(payload))])),
    preset: {
      worker: {
        concurrentJobs: concurrency,
        // Graphile's LISTEN finds new jobs at once; the poll is for those whose time has come.
        pollInterval: 1_000,
        // Ends of jobs are written in batches, whose failure stops the pool. By default each is a promise that nobody
        // awaits: a database that is away for a moment would then end the process by an unhandled rejection.
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
  // Once a batch has failed its pool takes no more jobs, but may never end: it counts off each later batch twice, and waits for its
  // count to be none (graphile/worker#636).
  const lost = new Promise<void>((resolve) => {
    for (const event of ['pool:fatalError', 'worker:fatalError'] as const) runner.events.on(event, () => resolve());
    runner.promise.then(resolve, () => resolve());
  });
  return {
    lost,
    async stop() {
      await Promise.race([stopRunner(runner, log), lost]);
    },
  };
}

async function stopRunner(runner: Runner, log: Logger): Promise<void> {
  try {
    await runner.stop();
  } catch (err) {
    // It has stopped by itself, or could not tell the database; leases and the sweeper see to the rest.
    log.warn({ err }, 'The job queue did not stop in order.');
  }
}

/** Graphile's own sentences quote errors and payloads, so each level has a fixed one; the error goes to its own field. */
function graphileLogger(log: Logger): GraphileLogger {
  return new GraphileLogger(() => (level, _message, meta) => {
    if (level !== 'error' && level !== 'warning') return;
    const fields = { err: meta?.error ?? meta?.fatalError, job: readJobName(meta?.job) };
    if (level === 'warning') log.warn(fields, 'The job queue warns.');
    else if (meta?.failure) log.error(fields, 'A job failed; it will be tried again.');
    else if (meta?.fatalError) log.error(fields, 'How a job ended could not be written; the job queue starts anew.');
    else log.error(fields, 'The job queue has failed.');
  });
}

function readJobName(job: unknown): string | undefined {
  const name = typeof job === 'object' && job !== null && 'task_identifier' in job ? job.task_identifier : undefined;
  return typeof name === 'string' ? name : undefined;
}
