import { DomainError } from '../errors.ts';
import type { Topic } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayWrite } from '../graphql/rights.ts';
import { ownInstallationId } from '../installations/schema.ts';
import { ChannelEnum, getUser, toUserReferenceInput, UserObject, UserRefInput, userById } from '../users/schema.ts';
import { createTopic, topicsMax } from './create-topic.ts';
import { deleteTopic } from './delete-topic.ts';
import { TopicObject, topicById } from './schema.ts';
import { setTopicPreferences } from './set-topic-preferences.ts';
import { updateTopic } from './update-topic.ts';

/** @throws DomainError `NOT_FOUND` of one that was deleted since: a repeat of the call tells of it still. */
const getTopic = async (found: Promise<Topic | null>): Promise<Topic> => {
  const topic = await found;
  if (!topic) throw new DomainError('NOT_FOUND', 'The topic was deleted since.');
  return topic;
};

const keyDescription = 'Makes a repeat of this call harmless for 24 hours.';

builder.relayMutationField(
  'createTopic',
  {
    description: 'A new topic.',
    inputFields: (t) => ({
      name: t.string({ required: true, description: 'Unique, 1 to 256 characters.' }),
      description: t.string({ description: 'What it is about, for people. At most 4096 characters.' }),
      isSubscribedByDefault: t.boolean({
        required: true,
        defaultValue: true,
        description: 'Whether who has said nothing gets messages about it.',
      }),
      position: t.int({ description: 'Where it stands among the topics. Default: behind all others.' }),
      idempotencyKey: t.string({ description: keyDescription }),
    }),
  },
  {
    description: `Makes a topic that messages can be about, and people can want or not. There are at most ${topicsMax}.`,
    authScopes: { write: true },
    errors: refusedWith('VALUE_INVALID', 'NAME_TAKEN', 'LIMIT_EXCEEDED', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const made = await createTopic(context, { ...input, principal: principalOf(context) });
      context.loaders.renew();
      return made;
    },
  },
  {
    description: 'The topic.',
    outputFields: (t) => ({
      topic: t.field({
        type: TopicObject,
        description: 'As it was made.',
        resolve: ({ topicId }, _, { loaders }) => getTopic(loaders.load(topicById, topicId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'updateTopic',
  {
    description: 'What is to change of a topic: what is absent stays.',
    inputFields: (t) => ({
      topic: t.id({ required: true, description: 'Global id.' }),
      name: t.string({ description: 'Unique, 1 to 256 characters.' }),
      description: t.string({
        description: 'What it is about, for people. At most 4096 characters; null removes it.',
      }),
      isSubscribedByDefault: t.boolean({
        description: 'Whether who has said nothing gets messages about it: from now on, also of those who are there.',
      }),
      position: t.int({ description: 'Where it stands among the topics.' }),
      idempotencyKey: t.string({ description: keyDescription }),
    }),
  },
  {
    description: 'Changes a topic. What people have said of it stays.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'NAME_TAKEN', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { topic, ...change } }, context) => {
      const topicId = parseId(topic, 'Topic', ['topic']);
      const changed = await updateTopic(context, { ...change, topicId, principal: principalOf(context) });
      context.loaders.renew();
      return changed;
    },
  },
  {
    description: 'The topic.',
    outputFields: (t) => ({
      topic: t.field({
        type: TopicObject,
        description: 'As it is now.',
        resolve: ({ topicId }, _, { loaders }) => getTopic(loaders.load(topicById, topicId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'deleteTopic',
  {
    description: 'Which topic.',
    inputFields: (t) => ({
      topic: t.id({ required: true, description: 'Global id.' }),
      idempotencyKey: t.string({ description: keyDescription }),
    }),
  },
  {
    description:
      "Removes a topic, with what people have said of it. STATE_CONFLICT while a segment's filter uses it, or a notification that is not sent to the end.",
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'STATE_CONFLICT', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { topic, idempotencyKey } }, context) => {
      const topicId = parseId(topic, 'Topic', ['topic']);
      const gone = await deleteTopic(context, { topicId, idempotencyKey, principal: principalOf(context) });
      context.loaders.renew();
      return gone;
    },
  },
  {
    description: 'What is gone.',
    outputFields: (t) => ({
      deletedTopicId: t.globalID({
        description: 'Global id that the topic had.',
        resolve: ({ topicId }) => ({ type: 'Topic', id: topicId }),
      }),
    }),
  },
);

const TopicPreferenceInput = builder.inputType('TopicPreferenceInput', {
  description: 'Whether a person wants messages about a topic.',
  fields: (t) => ({
    topic: t.id({ required: true, description: 'Global id.' }),
    channel: t.field({
      type: ChannelEnum,
      description: 'By which channel. Default: by all, in place of what was said of single ones before.',
    }),
    isSubscribed: t.boolean({ required: true, description: 'Whether the person wants it.' }),
  }),
});

builder.relayMutationField(
  'setTopicPreferences',
  {
    description: 'What a person says of topics.',
    inputFields: (t) => ({
      user: t.field({
        type: UserRefInput,
        description: 'Whose preferences. An installation may leave it out: its own user.',
      }),
      preferences: t.field({
        type: [TopicPreferenceInput],
        required: true,
        description: 'At most 1,000, done in this order. What is not named stays as it is.',
      }),
      idempotencyKey: t.string({ description: keyDescription }),
    }),
  },
  {
    description:
      'Keeps of which topics a person wants messages, and by which channels. A server key may speak for any user; an installation for its own, whatever `userRegistration` of its app says. Counts at once, also for what is queued. A message whose purpose is TRANSACTIONAL goes out all the same; an opt-out of a recipient stands above all of it.',
    authScopes: { write: true, installation: true },
    errors: refusedWith(
      'NOT_FOUND',
      'VALUE_INVALID',
      'LIMIT_EXCEEDED',
      'EMAIL_INVALID',
      'PHONE_INVALID',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input: { user, preferences, idempotencyKey } }, context) => {
      const done = await setTopicPreferences(context, {
        principal: principalOf(context),
        installationId: mayWrite(context) ? null : ownInstallationId(context.caller),
        user: user && toUserReferenceInput(user),
        preferences: preferences.map(({ topic, ...said }, index) => ({
          ...said,
          topicId: parseId(topic, 'Topic', ['preferences', String(index), 'topic']),
        })),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The user.',
    outputFields: (t) => ({
      user: t.field({
        type: UserObject,
        description: 'Whose preferences these are, as they are now.',
        resolve: ({ userId }, _, { loaders }) => getUser(loaders.load(userById, userId)),
      }),
    }),
  },
);
