import { type Sql, sql, type Transaction } from '../storage/database.ts';
import { filterToSql } from './filter.ts';
import { memberSql, type ReadyFilter } from './known-segments.ts';

/** Whether `u`, a row of users, is one of those whom a filter is about: whom it holds for, tombstones left out. */
export const audienceSql = ({ filter, scope }: ReadyFilter): Sql =>
  sql`u.merged_into_id is null and ${filterToSql(filter, scope)}`;

/**
 * Has statements of this transaction that ask a filter planned for what they are: pages of an audience, one after another, in
 * the order of ids. A page is to cost what its users cost: what a condition holds for is not hashed for each as a whole, unless
 * that is little, nor merged from its beginning on, nor is a table read from end to end because looking up were dear: what is looked
 * up is in memory mostly.
 */
export async function planForPages(tx: Pick<Transaction, '$queryRaw'>): Promise<void> {
  // What a filter asks for is in its values: a plan for any values would not see which indexes serve these.
  await tx.$queryRaw(sql`
    select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_mergejoin', 'off', true),
      set_config('work_mem', '256kB', true), set_config('hash_mem_multiplier', '1', true), set_config('random_page_cost', '1.1', true)
  `);
}

/** How many there are, as of when. */
export interface Count {
  count: number;
  countedAt: Date;
}

/** Counts users `u` of whom a condition is true, exactly. */
export async function countUsers(db: Pick<Transaction, '$queryRaw'>, where: Sql): Promise<Count> {
  const [row] = await db.$queryRaw<{ count: number; counted_at: Date }[]>(sql`
    select count(*)::int as count, date_trunc('milliseconds', now()) as counted_at from users u where ${where}
  `);
  return { count: row?.count ?? 0, countedAt: row?.counted_at ?? new Date(0) };
}

/** How many members each of some segments has, as of now: static ones together, each dynamic one by a statement of its own. */
export async function countMembers(
  db: Pick<Transaction, '$queryRaw'>,
  segmentIds: readonly string[],
): Promise<Count[]> {
  const rows = await db.$queryRaw<{ id: string; count: number | null; counted_at: Date }[]>(sql`
    select s.id, date_trunc('milliseconds', now()) as counted_at,
      case when s.filter is null then (select count(*)::int from segment_members m where m.segment_id = s.id) end as count
    from segments s where s.id = any(${[...segmentIds]}::uuid[])
  `);
  const counts = new Map<string, Count>();
  // One after another: each may keep the database busy.
  for (const { id, count, counted_at: countedAt } of rows) {
    counts.set(id, count === null ? await countUsers(db, await membersSql(db, id)) : { count, countedAt });
  }
  return segmentIds.map((id) => counts.get(id) ?? { count: 0, countedAt: new Date(0) });
}

/** Whether `u`, a row of users, is a member of a segment, tombstones left out. */
export async function membersSql(db: Pick<Transaction, '$queryRaw'>, segmentId: string): Promise<Sql> {
  return sql`u.merged_into_id is null and ${await memberSql(db, segmentId)}`;
}
