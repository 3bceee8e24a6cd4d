import { sql, type Transaction } from '../storage/database.ts';

/** How many users `mergeUsers` has joined to a user within 24 hours on the database's clock, and that were not undone. */
export async function countMergesLately(tx: Transaction, survivorId: string): Promise<number> {
  const [row] = await tx.$queryRaw<{ count: number }[]>(sql`
    select count(*)::int as count from merge_records
    where survivor_id = ${survivorId}::uuid and reason = 'mergeUsers' and undone_at is null
      and created_at > now() - interval '24 hours'
  `);
  return row?.count ?? 0;
}

/** The users that were merged into a user. */
export async function findTombstones(tx: Transaction, userId: string): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`select id from users where merged_into_id = ${userId}::uuid`);
  return rows.map(({ id }) => id);
}
