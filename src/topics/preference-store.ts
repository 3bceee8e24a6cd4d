import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import type { Preference } from './decide-preferences.ts';

/** What each of some users has said, by user and topic, channels in order, the rest first. */
export async function readPreferences(
  db: Pick<Transaction, '$queryRaw'>,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, Preference[]>>> {
  const rows = await db.$queryRaw<(Preference & { userId: string })[]>(sql`
    select
      p.user_id as "userId", p.topic_id as "topicId", p.channel::text, p.is_subscribed as "isSubscribed",
      p.said_at as "saidAt", p.said_by as "saidBy"
    from topic_preferences p
    where p.user_id = any(${[...userIds]}::uuid[])
    order by p.channel nulls first
  `);
  const byUser = Map.groupBy(rows, ({ userId }) => userId);
  return new Map(
    [...byUser].map(([userId, own]) => {
      const preferences = own.map(({ userId: _, ...preference }) => preference);
      return [userId, Map.groupBy(preferences, ({ topicId }) => topicId)] as const;
    }),
  );
}

/** What a topic is called; null: there is none. */
export async function findTopicName(db: Pick<Transaction, '$queryRaw'>, topicId: string): Promise<string | null> {
  const [topic] = await db.$queryRaw<{ name: string }[]>(sql`select name from topics where id = ${topicId}::uuid`);
  return topic?.name ?? null;
}

/** Lets some topics stay until the commit. @returns those that there are */
export async function holdTopics(
  db: Pick<Transaction, '$queryRaw'>,
  topicIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await db.$queryRaw<{ id: string }[]>(sql`
    select id from topics where id = any(${[...topicIds]}::uuid[]) order by id for key share
  `);
  return new Set(rows.map(({ id }) => id));
}

/** Lets a topic stay until the commit. @throws DomainError `NOT_FOUND` at `path`. */
export async function refuseUnknownTopic(
  db: Pick<Transaction, '$queryRaw'>,
  topicId: string,
  path: readonly string[],
): Promise<void> {
  const held = await holdTopics(db, [topicId]);
  if (!held.has(topicId)) throw new DomainError('NOT_FOUND', 'There is no such topic.', path);
}

/**
 * Writes what a user has said of some topics, in place of all that was said of them before. The user is locked. A topic that is
 * gone is left out.
 */
export async function writePreferences(
  tx: Transaction,
  userId: string,
  preferences: ReadonlyMap<string, readonly Preference[]>,
): Promise<void> {
  if (preferences.size === 0) return;
  const held = await holdTopics(tx, [...preferences.keys()]);
  const rows = [...preferences.values()].flat().filter(({ topicId }) => held.has(topicId));
  await tx.$executeRaw(sql`
    delete from topic_preferences
    where user_id = ${userId}::uuid and topic_id = any(${[...preferences.keys()]}::uuid[])
  `);
  await tx.$executeRaw(sql`
    insert into topic_preferences (id, user_id, topic_id, channel, is_subscribed, said_at, said_by)
    select id, ${userId}::uuid, "topicId", channel, "isSubscribed", "saidAt", "saidBy"
    from jsonb_to_recordset(${JSON.stringify(rows.map((row) => ({ ...row, id: newId() })))}::jsonb) as given (
      id uuid, "topicId" uuid, channel channel, "isSubscribed" boolean, "saidAt" timestamptz, "saidBy" text
    )
  `);
}
