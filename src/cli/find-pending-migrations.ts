import type pg from 'pg';
import { findMissingMigrations, listMigrations } from '../storage/migrate.ts';

/** Names of this program's migrations that the database lacks; of one that was never migrated: all. Changes nothing. */
export async function findPendingMigrations(pool: Pick<pg.Pool, 'query'>): Promise<string[]> {
  const names = await listMigrations();
  const { rows } = await pool.query<{ is_known: boolean }>(
    `select to_regclass('_prisma_migrations') is not null as is_known`,
  );
  return rows[0]?.is_known ? findMissingMigrations(pool, names) : names;
}
