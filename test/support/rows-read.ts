import pg from 'pg';
import { sql, type Transaction } from '../../src/storage/database.ts';
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

/** How many rows `work` reads from tables in a transaction of its own connection. */
export async function countRowsReadBy(tx: Transaction, work: () => Promise<unknown>): Promise<number> {
  const before = await countOwn(tx);
  await work();
  return (await countOwn(tx)) - before;
}

/** By this connection, also before the transaction. */
async function countOwn(tx: Transaction): Promise<number> {
  const [row] = await tx.$queryRaw<{ count: number }[]>(sql`
    select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int as count from pg_stat_xact_user_tables`);
  return row?.count ?? 0;
}
