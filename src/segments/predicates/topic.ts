import { idSchema } from '../../ids.ts';
import { sql } from '../../storage/database.ts';
import { definePredicate } from '../predicate.ts';

/** Is subscribed to a topic: rule M8. */
export const topic = definePredicate({
  name: 'topic',
  argument: {
    type: 'TopicId',
    description:
      'The user is subscribed to this topic, by one channel at least: by what was said (`setTopicPreferences`), else by the topic’s `isSubscribedByDefault`. Opt-outs of recipients do not count here. Global id. `{ topic: "VG9waWM6MQ==" }`',
  },
  args: idSchema,
  words: (id) => `is subscribed to the topic ${id}`,
  topicId: (id) => id,
  toSql: (id) => sql`
    exists (select from topic_preferences p where p.topic_id = ${id}::uuid and p.user_id = u.id and p.is_subscribed)
    or (select t.is_subscribed_by_default from topics t where t.id = ${id}::uuid) and not exists (
      select from topic_preferences p where p.topic_id = ${id}::uuid and p.user_id = u.id and p.channel is null
    )
  `,
  decide(id, { topicPreferences, topicsByDefault }) {
    const said = topicPreferences.filter(({ topicId }) => topicId === id);
    const isSaid = said.some(({ isSubscribed }) => isSubscribed);
    const isOpen = said.every(({ channel }) => channel !== null) && topicsByDefault.includes(id);
    return { holds: isSaid || isOpen, value: said.map(({ channel, isSubscribed }) => ({ channel, isSubscribed })) };
  },
});
