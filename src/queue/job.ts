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
  /** At most one waiting job has this key; the one that is to run first stays. */
  key?: string;
}

/** Enqueues a job inside a transaction: it exists if and only if the transaction commits. */
export async function addJob<Payload>(
  tx: Pick<Transaction, '$queryRaw'>,
  job: Pick<Job<never, Payload>, 'name' | 'payload'>,
  payload: Payload,
  { runAt, key }: JobOptions = {},
): Promise<void> {
  await tx.$queryRaw(sql`
    select (graphile_worker.add_job(
      ${job.name}, ${JSON.stringify(job.payload.parse(payload))}::json,
      run_at => ${runAt ?? null}::timestamptz, job_key => ${key ?? null}, job_key_mode => 'preserve_run_at'
    )).id::text
  `);
}
