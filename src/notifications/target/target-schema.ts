import { builder } from '../../graphql/builder.ts';
import { toShownFilter } from '../../segments/filter.ts';
import { AudienceFilterInput } from '../../segments/filter-schema.ts';
import { SegmentObject, segmentById } from '../../segments/schema.ts';
import { UserRefInput } from '../../users/schema.ts';
import { referencesMax, segmentsMax } from './parse-target.ts';
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
    filter: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'Whom else: an `AudienceFilter` in normal form (ids are local ones).',
      resolve: ({ filter }) => toShownFilter(filter),
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
    filter: t.field({
      type: AudienceFilterInput,
      description:
        'Everybody for whom this holds when it is fanned out. A push goes only to installations that fit an `installation` in it; also in the filter of a dynamic segment.',
    }),
    excludeSegments: t.idList({
      description:
        'Nobody in any of these segments, also of `users`; `installations` are meant themselves, whoever uses them. Global ids, at most 100.',
    }),
  }),
});
