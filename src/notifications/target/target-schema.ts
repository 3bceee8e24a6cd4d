import { AppObject, appById } from '../../apps/schema.ts';
import { builder } from '../../graphql/builder.ts';
import { parseId } from '../../graphql/global-id.ts';
import { toShownFilter } from '../../segments/filter.ts';
import { AudienceFilterInput, toLocalFilter } from '../../segments/filter-schema.ts';
import { SegmentObject, segmentById } from '../../segments/schema.ts';
import { TopicObject, topicById } from '../../topics/schema.ts';
import { toUserReferenceInput, UserRefInput } from '../../users/schema.ts';
import { appsMax, type TargetInput as ParsedInput, referencesMax, segmentsMax } from './parse-target.ts';
import type { Target } from './target.ts';

const UserReferenceObject = builder.objectRef<Target['users'][number]>('UserReference').implement({
  description: 'How a target names a user.',
  fields: (t) => ({
    by: t.string({
      description: '`ID`, `PUSH_REGISTRATION_ID`, `EXTERNAL_USER_ID`, `EMAIL` or `PHONE`.',
      resolve: (reference) =>
        reference.by === 'identifier' ? reference.kind : reference.by === 'id' ? 'ID' : 'PUSH_REGISTRATION_ID',
    }),
    value: t.string({
      description: 'In normal form.',
      resolve: (reference) => (reference.by === 'identifier' ? reference.value : reference.id),
    }),
  }),
});

export const TargetObject = builder.objectRef<Target>('NotificationTarget').implement({
  description: 'Whom a notification is meant for, as it was given.',
  fields: (t) => ({
    users: t.expose('users', {
      type: [UserReferenceObject],
      description: 'People, as they were named.',
      extensions: { listSizeMax: referencesMax },
    }),
    installations: t.exposeIDList('installations', { description: 'Installations, by push registration id.' }),
    segments: t.field({
      type: [SegmentObject],
      description: 'Segments; one that was deleted since is left out.',
      extensions: { listSizeMax: segmentsMax },
      resolve: async ({ segments }, _, { loaders }) =>
        (await loaders.loadMany(segmentById, segments)).filter((segment) => segment !== null),
    }),
    excludeSegments: t.field({
      type: [SegmentObject],
      description: 'Segments whose members get nothing; one that was deleted since is left out.',
      extensions: { listSizeMax: segmentsMax },
      resolve: async ({ excludeSegments }, _, { loaders }) =>
        (await loaders.loadMany(segmentById, excludeSegments)).filter((segment) => segment !== null),
    }),
    topic: t.field({
      type: TopicObject,
      nullable: true,
      description: 'Who is subscribed to it; null also when it was deleted since.',
      resolve: ({ topic }, _, { loaders }) => (topic === null ? null : loaders.load(topicById, topic)),
    }),
    filter: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'Whom else: an `AudienceFilter` in normal form (ids are local ones).',
      resolve: ({ filter }) => toShownFilter(filter),
    }),
    everyone: t.exposeBoolean('everyone', { description: 'Whether all users are meant: a broadcast.' }),
    limit: t.exposeInt('limit', { nullable: true, description: 'At most so many users and installations; null: all.' }),
    apps: t.field({
      type: [AppObject],
      description: 'Pushes go only to installations of these apps; empty: of any.',
      extensions: { listSizeMax: appsMax },
      resolve: async ({ apps }, _, { loaders }) =>
        (await loaders.loadMany(appById, apps)).filter((app) => app !== null),
    }),
    subscribedFrom: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Only what was subscribed then or later; null: at any time.',
      resolve: ({ subscribedFrom }) => (subscribedFrom === null ? null : new Date(subscribedFrom)),
    }),
    subscribedTo: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Only what was subscribed before this; null: at any time.',
      resolve: ({ subscribedTo }) => (subscribedTo === null ? null : new Date(subscribedTo)),
    }),
    onePerUser: t.exposeBoolean('onePerUser', {
      description: 'Whether a push goes to one installation of each user, the reachable one that was seen last.',
    }),
  }),
});

export const TargetInput = builder.inputType('NotificationTargetInput', {
  description: 'Whom it is meant for: all of these together, each address once.',
  fields: (t) => ({
    users: t.field({ type: [UserRefInput], description: 'Users. With `installations` at most 1,000.' }),
    installations: t.idList({
      description: 'Installations themselves, whoever uses them: push registration ids or global ids.',
    }),
    segments: t.idList({
      description:
        'Everybody in any of these segments, static or dynamic, when it is fanned out. Global ids, at most 100.',
    }),
    topic: t.id({
      description:
        'Everybody who is subscribed to this topic, by what was said or by its default, when it is fanned out. Global id. Says not what the message is about: see `topic` beside the target.',
    }),
    filter: t.field({
      type: AudienceFilterInput,
      description:
        'Everybody for whom this holds when it is fanned out. A push goes only to installations that fit an `installation` in it; also in the filter of a dynamic segment.',
    }),
    excludeSegments: t.idList({
      description:
        'Nobody in any of these segments, also of `users`; `installations` are meant themselves, whoever uses them. Global ids, at most 100.',
    }),
    everyone: t.boolean({
      description:
        'All users there are, with those whom nobody has named: a broadcast. Stands for itself, or with `excludeSegments` and `limit`. Default: false.',
    }),
    limit: t.int({
      description:
        'At most so many users and installations, counted after everything else: `users` first, as they are named, then `installations`, then the oldest profiles. At least 1.',
    }),
  }),
});

/** The target with local ids, as `parseTarget` and `freezeTarget` take it. @throws DomainError `NOT_FOUND` at what is no id. */
export function toLocalTarget(target: typeof TargetInput.$inferInput): ParsedInput {
  const localIds = (field: 'installations' | 'segments' | 'excludeSegments', type: 'Installation' | 'Segment') =>
    target[field]?.map((id, index) => parseId(id, type, ['target', field, String(index)]));
  return {
    ...target,
    users: target.users?.map(toUserReferenceInput),
    installations: localIds('installations', 'Installation'),
    segments: localIds('segments', 'Segment'),
    excludeSegments: localIds('excludeSegments', 'Segment'),
    topic: parseId(target.topic, 'Topic', ['target', 'topic']),
    filter: target.filter && toLocalFilter(target.filter, ['target', 'filter']),
  };
}

/** Apps with local ids. @throws DomainError `NOT_FOUND` at what is no id. */
export const toLocalApps = (apps: readonly string[] | null | undefined): string[] | null | undefined =>
  apps?.map((id, index) => parseId(id, 'App', ['apps', String(index)]));
