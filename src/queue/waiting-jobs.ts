import type pg from 'pg';
import { sql } from '../storage/database.ts';

/** Jobs of one kind that are due, and that no worker has taken. */
export interface WaitingJobs {
  task: string;
  count: number;
  /** For how long the oldest one has been due. */
  lagSeconds: number;
}

/** What waits for a worker, by kind of work. Kinds of which nothing waits are left out. */
export async function listWaitingJobs(pool: Pick<pg.Pool, 'query'>): Promise<WaitingJobs[]> {
  const { rows } = await pool.query<{ task: string; count: number; lag_seconds: number }>(sql`
    select
      task_identifier as task,
      count(*)::int as count,
      greatest(0, extract(epoch from now() - min(run_at)))::float8 as lag_seconds
    from graphile_worker.jobs
    where locked_at is null and attempts < max_attempts and run_at <= now()
    group by task_identifier
    order by task_identifier
  `);
  return rows.map(({ task, count, lag_seconds: lagSeconds }) => ({ task, count, lagSeconds }));
}
