import type { Topic } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { localId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { mayReadSome } from '../graphql/rights.ts';
import { ChannelEnum, UserObject } from '../users/schema.ts';
import { topicsMax } from './create-topic.ts';
import type { Preference } from './decide-preferences.ts';
import { readPreferences } from './preference-store.ts';

/** A topic by id. */
export const topicById: Loader<string, Topic | null> = byId((db, ids) =>
  db.topic.findMany({ where: { id: { in: ids } } }),
);

/** Who may see topics: who reads people, and an app's clients, which offer them. */
const readers = { readSome: true, app: true };

export const TopicObject = builder.prismaObject('Topic', {
  description:
    'What messages can be about, such as news or offers, and people can want or not. Clients of every app may read it.',
  authScopes: readers,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it is about, for people.' }),
    isSubscribedByDefault: t.exposeBoolean('isSubscribedByDefault', {
      description: 'Whether who has said nothing gets messages about it.',
    }),
    position: t.exposeInt('position', { description: 'Where it stands among the topics: those with less come first.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  }),
});

builder.nodeRef(TopicObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) =>
    mayReadSome(context) || context.caller?.kind === 'APP' ? context.loaders.load(topicById, id) : null,
});

builder.queryField('topics', (t) =>
  t.field({
    type: [TopicObject],
    authScopes: readers,
    extensions: { listSizeMax: topicsMax },
    description: `All topics, at most ${topicsMax}, in the order in which they are to be shown: by position, then by name.`,
    resolve: (_, __, { db }) => db.topic.findMany({ orderBy: [{ position: 'asc' }, { name: 'asc' }], take: topicsMax }),
  }),
);

const preferencesOfUser: Loader<string, Preference[]> = {
  async load(db, ids) {
    const said = await readPreferences(db, ids);
    return ids.map((id) => [...(said.get(id)?.values() ?? [])].flat());
  },
};

const TopicPreferenceObject = builder.objectRef<Preference & { topic: Topic }>('TopicPreference').implement({
  description:
    'What a person has said of a topic. Of a channel counts what was said of it, else what was said of all, else the topic’s `isSubscribedByDefault`.',
  fields: (t) => ({
    topic: t.expose('topic', { type: TopicObject, description: 'Of which topic.' }),
    channel: t.expose('channel', {
      type: ChannelEnum,
      nullable: true,
      description: 'Of which channel; null: of all of which nothing else was said.',
    }),
    isSubscribed: t.exposeBoolean('isSubscribed', { description: 'Whether the person wants it.' }),
    saidAt: t.expose('saidAt', { type: 'DateTime', description: 'When it was said.' }),
  }),
});

builder.prismaObjectField(UserObject, 'topicPreferences', (t) =>
  t.field({
    type: [TopicPreferenceObject],
    // As a rule a person says one thing of a topic.
    extensions: { listSizeMax: topicsMax },
    description:
      'What the user has said of topics, in their order. Of a topic that is not here nothing was said: its default counts.',
    resolve: async ({ id }, _, { loaders }) => {
      const said = await loaders.load(preferencesOfUser, id);
      const topics = await loaders.loadMany(
        topicById,
        said.map(({ topicId }) => topicId),
      );
      const told = said.flatMap((preference, index) => {
        const topic = topics[index];
        return topic ? [{ ...preference, topic }] : [];
      });
      return told.toSorted(
        ({ topic: a }, { topic: b }) => a.position - b.position || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
      );
    },
  }),
);
