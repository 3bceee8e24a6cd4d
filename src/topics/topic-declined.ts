import { type Sql, sql } from '../storage/database.ts';

/** Whom a message of which topic reaches by which channel: SQL each. */
interface Reaching {
  topicId: Sql;
  /** A living user. */
  userId: Sql;
  channel: Sql;
}

/**
 * Whether a person does not want messages of a topic by a channel (rule M8): what was said of that channel counts, else what
 * was said of all, else the topic's default. Of a topic that is gone nobody has declined anything.
 */
export const isTopicDeclined = ({ topicId, userId, channel }: Reaching): Sql => sql`exists (
  select from topics t
  where t.id = ${topicId} and not coalesce(
    (
      select p.is_subscribed from topic_preferences p
      where p.user_id = ${userId} and p.topic_id = t.id and (p.channel = ${channel} or p.channel is null)
      -- Nulls come last.
      order by p.channel
      limit 1
    ),
    t.is_subscribed_by_default
  )
)`;
