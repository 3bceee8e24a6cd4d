import pg from 'pg';
import { sql } from '../../src/storage/database.ts';
import { until } from './until.ts';

/**
 * How many rows the server has read from tables of this database so far, by whatever way and for whomever. Waits until all
 * other connections are closed, as what a connection has read is certainly counted only then.
 */
export async function countRowsRead(databaseUrl: string): Promise<number> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  try {
    await until(async () => (await countOthers(client)) === 0);
    const { rows } = await client.query<{ count: number }>(sql`
      select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::float8 as count from pg_stat_user_tables`);
    return rows[0]?.count ?? 0;
  } finally {
    await client.end();
  }
}

async function countOthers(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ count: number }>(sql`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`);
  return rows[0]?.count ?? 0;
}
