import { z } from 'zod';
import { contentSchema } from '../content/content.ts';
import { idSchema } from '../ids.ts';
import { type Database, type Sql, sql } from '../storage/database.ts';

/** A row of an inbox. `id` is its delivery's. */
export const inboxItemSchema = z.object({
  id: idSchema,
  userId: idSchema,
  content: contentSchema,
  createdAt: z.date(),
  readAt: z.date().nullable(),
});
export type InboxItem = z.infer<typeof inboxItemSchema>;

/** Users whose items are in `userId`'s inbox: the user, and those who were merged into it. */
export const isInboxOf = (userId: Sql): Sql =>
  sql`user_id in (select id from users where ${userId} in (id, merged_into_id))`;

/** How many items each of the users has not read; parallel to `userIds`. */
export async function countUnread(db: Pick<Database, '$queryRaw'>, userIds: readonly string[]): Promise<number[]> {
  const rows = await db.$queryRaw<{ id: string; count: number }[]>(sql`
    select coalesce(u.merged_into_id, u.id) as id, count(*)::int as count
    from users u join inbox_items item on item.user_id = u.id and item.read_at is null
    where u.id = any(${[...userIds]}::uuid[]) or u.merged_into_id = any(${[...userIds]}::uuid[])
    group by 1
  `);
  const counts = new Map(rows.map(({ id, count }) => [id, count]));
  return userIds.map((id) => counts.get(id) ?? 0);
}
