import { sql, type Transaction } from '../storage/database.ts';

/**
 * Taken, before any row is locked, by who writes a filter that is kept, or changes what such filters name, until the commit:
 * together by those who only name what there is (a send), alone by who changes which segment names which, or removes an
 * attribute. So no two close a circle together, and nothing goes between the look at it and the write that names it.
 */
export async function lockFilters(tx: Transaction, how: 'together' | 'alone'): Promise<void> {
  const key = sql`hashtextextended('carillon segment filters', 0)`;
  await tx.$executeRaw(
    how === 'alone' ? sql`select pg_advisory_xact_lock(${key})` : sql`select pg_advisory_xact_lock_shared(${key})`,
  );
}
