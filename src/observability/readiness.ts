import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from '../logger.ts';
import { listWaitingJobs } from '../queue/waiting-jobs.ts';
import { findMissingMigrations, listMigrations } from '../storage/migrate.ts';
import type { Bus } from '../stream/bus/bus.ts';
import { listPausedChannels } from './paused-channels.ts';

/** What one look found. Numbers and booleans only: anybody may read it. */
type Check = { readonly ok: boolean } & Readonly<Record<string, boolean | number | null>>;

/** Whether the program can do its work. */
export interface ReadinessReport {
  /**
   * `not ready`: give it no work, as PostgreSQL does not answer or lacks migrations, or the process starts or stops. `degraded`:
   * it does all of its work, later than it should: Redis does not answer, which is only a wake-up, jobs wait for a worker, or a
   * channel is paused, as its provider is down. That is nothing that another process, or a restart of this one, could mend.
   */
  readonly status: 'ready' | 'degraded' | 'not ready';
  readonly checks: {
    readonly program: Check;
    readonly database: Check;
    readonly migrations: Check;
    readonly redis: Check;
    readonly worker: Check;
    readonly channels: Check;
  };
}

/** Looks whether the program can do its work. */
export interface Readiness {
  /** At most one real look a second, however often it is asked. Answers within 3 seconds, and never rejects. */
  look(): Promise<ReadinessReport>;
  /** The start is over: until then the program is not ready. */
  started(): void;
  /** The stop has begun: from then on the program is not ready. */
  stopping(): void;
}

interface ReadinessOptions {
  /** Whose statements are bounded in time: see `openProbePool`. */
  pool: pg.Pool;
  bus: Bus;
  /** Whether wake-ups need Redis. */
  hasRedis: boolean;
  log: Logger;
}

/** How old the oldest waiting job may be, before the program is degraded. @default 60 // seconds */
const lagSecondsMax = 60;

/** How long an answer holds. @default 1_000 // 1 second */
const answerMs = 1_000;

/** How long a look may take. A statement may take 2 seconds, and so may the connection before it. @default 2_500 */
const lookMs = 2_500;

/** Readiness of a process that has not started yet. */
export async function createReadiness({ pool, bus, hasRedis, log }: ReadinessOptions): Promise<Readiness> {
  const migrations = await listMigrations();
  let phase: 'starting' | 'running' | 'stopping' = 'starting';
  let lastStatus: ReadinessReport['status'] = 'ready';
  let answer: { report: Promise<Omit<ReadinessReport['checks'], 'program'>>; until: number } | undefined;

  /** Null: the database did not answer in time. */
  async function ask<Result>(question: Promise<Result>): Promise<Result | null> {
    const timeIsUp = new AbortController();
    try {
      return await Promise.race([question, sleep(lookMs, null, { signal: timeIsUp.signal })]);
    } catch (err) {
      log.debug({ err }, 'A probe of the database failed.');
      return null;
    } finally {
      timeIsUp.abort();
    }
  }

  async function lookAround(): Promise<Omit<ReadinessReport['checks'], 'program'>> {
    const [missing, waiting, paused] = await Promise.all([
      ask(findMissingMigrations(pool, migrations)),
      ask(listWaitingJobs(pool)),
      ask(listPausedChannels(pool)),
    ]);
    const lagSeconds = waiting && Math.max(0, ...waiting.map((jobs) => jobs.lagSeconds));
    return {
      database: { ok: missing !== null },
      migrations: { ok: missing?.length === 0, missing: missing?.length ?? null },
      redis: { ok: bus.isServing(), isUsed: hasRedis },
      worker: { ok: lagSeconds !== null && lagSeconds <= lagSecondsMax, lagSeconds },
      channels: { ok: paused?.length === 0, paused: paused?.length ?? null },
    };
  }

  function tellChange(report: ReadinessReport) {
    if (phase !== 'running' || report.status === lastStatus) return;
    lastStatus = report.status;
    if (report.status === 'ready') log.info({}, 'Ready again.');
    else log.warn({ status: report.status, checks: report.checks }, 'Not everything works as it should.');
  }

  return {
    async look() {
      const now = performance.now();
      if (!answer || answer.until < now) {
        const report = lookAround();
        const taken = { report, until: Number.POSITIVE_INFINITY };
        answer = taken;
        void report.finally(() => {
          taken.until = performance.now() + answerMs;
        });
      }
      const found = await answer.report;
      const checks = { program: { ok: phase === 'running', isStopping: phase === 'stopping' }, ...found };
      const report = { status: statusOf(checks), checks };
      tellChange(report);
      return report;
    },
    started() {
      phase = 'running';
    },
    stopping() {
      phase = 'stopping';
    },
  };
}

function statusOf({
  program,
  database,
  migrations,
  redis,
  worker,
  channels,
}: ReadinessReport['checks']): ReadinessReport['status'] {
  if (!program.ok || !database.ok || !migrations.ok) return 'not ready';
  return redis.ok && worker.ok && channels.ok ? 'ready' : 'degraded';
}
