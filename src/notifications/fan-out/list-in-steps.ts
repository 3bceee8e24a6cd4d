import { sql, type Transaction } from '../../storage/database.ts';

/**
 * Notifications of which a further channel may follow for somebody, by id, from `after` on. Steps from one to the next in the index,
 * so that it costs as many look-ups as it finds, however many notifications there are, and however many users each waits for.
 */
export async function listInSteps(
  db: Pick<Transaction, '$queryRaw'>,
  { after, limit }: { after: string | null; limit: number },
): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>(sql`
    with recursive in_steps (id) as (
      (
        select notification_id from fallbacks
        where ${after}::uuid is null or notification_id > ${after}::uuid
        order by notification_id
        limit 1
      )
      union all
      select next.id
      from in_steps cross join lateral (
        select notification_id as id from fallbacks where notification_id > in_steps.id order by notification_id limit 1
      ) next
    )
    select id from in_steps limit ${limit}
  `);
  return rows.map(({ id }) => id);
}
