import type { z } from 'zod';
import { sql, type Transaction } from '../storage/database.ts';

/** One kind of work: its name, what a payload looks like, and the work. Run at least once, so safe to run twice. */
export interface Job<Context, Payload> {
  readonly name: string;
  readonly payload: z.ZodType<Payload>;
  run(context: Context, payload: Payload): Promise<void>;
}

/** When a job runs and which other one it replaces. */
export interface JobOptions {
  /** Not before; absent: at once. */
  runAt?: Date;
  /** At most one waiting job has this key, and it runs at the earliest time that was asked for. One under way does not count. */
  key?: string;
}

type Queue = Pick<Transaction, '$queryRaw'>;
type NamedJob<Payload> = Pick<Job<never, Payload>, 'name' | 'payload'>;

/** Enqueues a job inside a transaction: it exists if and only if the transaction commits. */
export async function addJob<Payload>(
  tx: Queue,
  job: NamedJob<Payload>,
  payload: Payload,
  options: JobOptions = {},
): Promise<void> {
  await addJobs(tx, job, [{ payload, ...options }]);
}

/** Enqueues many jobs of one kind. */
export async function addJobs<Payload>(
  tx: Queue,
  job: NamedJob<Payload>,
  wanted: readonly ({ payload: Payload } & JobOptions)[],
): Promise<void> {
  let left = wanted;
  while (left.length > 0) {
    const missed = await addOnce(tx, job, left);
    left = left.filter((_, index) => missed.has(index));
  }
}

/**
 * By one statement.
 *
 * @returns those that are still to be added, by their place: a worker has just taken the one with their key, which may not see
 * any more what they are wanted for.
 */
async function addOnce<Payload>(
  tx: Queue,
  job: NamedJob<Payload>,
  wanted: readonly ({ payload: Payload } & JobOptions)[],
): Promise<ReadonlySet<number>> {
  // Graphile's own "preserve_run_at" would keep a later time too: what is due soon would wait for what is due late. It is for what
  // may wait: at this moment somebody may be adding the same for at once.
  const rows = await tx.$queryRaw<{ place: number }[]>(sql`
    select (wanted.place - 1)::int as place
    from unnest(
      ${wanted.map(({ payload }) => JSON.stringify(job.payload.parse(payload)))}::text[],
      ${wanted.map(({ key }) => key ?? null)}::text[],
      ${wanted.map(({ runAt }) => runAt?.toISOString() ?? null)}::timestamptz[]
    ) with ordinality as wanted (payload, key, run_at, place)
    left join graphile_worker.jobs waiting on waiting.key = wanted.key and waiting.locked_at is null
    cross join lateral graphile_worker.add_job(
      ${job.name}, wanted.payload::json,
      run_at => least(coalesce(wanted.run_at, now()), waiting.run_at), job_key => wanted.key,
      job_key_mode => case
        when wanted.run_at > now() and (waiting.run_at is null or waiting.run_at <= wanted.run_at) then 'preserve_run_at'
        else 'replace'
      end
    ) added
    where added.id is null
  `);
  return new Set(rows.map(({ place }) => place));
}

/** @default 1_000 // jobs a statement */
const failedJobsPerStatement = 1_000;

/**
 * Removes jobs that have failed for good, which the queue would keep for ever. Each of their failures was logged, and
 * what they left undone is found by the sweeper.
 */
export async function dropFailedJobs(db: Queue): Promise<void> {
  await db.$queryRaw(sql`
    select count(*)::int from graphile_worker.complete_jobs(
      array(select id from graphile_worker.jobs where attempts >= max_attempts order by id limit ${failedJobsPerStatement})
    )
  `);
}
