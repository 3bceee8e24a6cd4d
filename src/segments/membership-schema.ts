import type { Segment, User } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { parsePage } from '../graphql/connection.ts';
import { toLocalId } from '../graphql/global-id.ts';
import { toUserReferenceInput, UserObject, UserRefInput, userById } from '../users/schema.ts';
import { explainMembership, type Membership } from './explain-membership.ts';
import { AudienceFilterInput, toLocalFilter } from './filter-schema.ts';
import type { Reason } from './predicate.ts';
import { previewSegment, type SegmentPreview } from './preview-segment.ts';
import { SegmentObject, segmentById } from './schema.ts';

const SegmentPreviewObject = builder.objectRef<SegmentPreview>('SegmentPreview').implement({
  description: 'Whom a filter holds for.',
  authScopes: { readAll: true },
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'How many users, exactly, at `countedAt`.' }),
    countedAt: t.expose('countedAt', { type: 'DateTime', description: 'When they were counted.' }),
    sample: t.expose('sample', { type: [UserObject], description: 'The first of them, oldest profile first.' }),
  }),
});

/** Of a value that decided. @default 1_000 // characters */
const valueCharactersMax = 1_000;

const SegmentReasonObject = builder.objectRef<Reason>('SegmentReason').implement({
  description: 'One condition of a filter, or a group of them, and whether it holds for the user.',
  authScopes: { readAll: true },
  fields: (t) => ({
    path: t.stringList({
      description:
        'Where it stands, from the filter down: `["all", "1", "tag"]`. What follows `inSegment` stands in the filter of that segment.',
      resolve: ({ path }) => [...path],
    }),
    condition: t.exposeString('condition', { description: 'What it asks, in words. Its words may change.' }),
    holds: t.exposeBoolean('holds', { description: 'Whether it does.' }),
    value: t.string({
      nullable: true,
      description:
        "The value of the user's that decided it, as JSON, cut after 1,000 characters; null: there is none, or it is a group.",
      resolve: ({ value }) =>
        value === null ? null : [...JSON.stringify(value)].slice(0, valueCharactersMax).join(''),
    }),
  }),
});

/** Each condition of a filter and of the segments that it names. */
const reasonsMax = 1_000;

const SegmentMembershipObject = builder.objectRef<Membership>('SegmentMembership').implement({
  description: 'Whether a user is in a segment, and why.',
  authScopes: { readAll: true },
  fields: (t) => ({
    segment: t.field({
      type: SegmentObject,
      nullable: true,
      description: 'The segment; null when it is gone meanwhile.',
      resolve: ({ segmentId }, _, { loaders }): Promise<Segment | null> => loaders.load(segmentById, segmentId),
    }),
    user: t.field({
      type: UserObject,
      nullable: true,
      description: 'The user; of one that was merged, the survivor.',
      resolve: ({ userId }, _, { loaders }): Promise<User | null> => loaders.load(userById, userId),
    }),
    isMember: t.exposeBoolean('isMember', { description: 'Whether the user is in it now.' }),
    reasons: t.field({
      type: [SegmentReasonObject],
      description: 'Every condition of its filter, groups before what is in them; of a static segment one.',
      extensions: { listSizeMax: reasonsMax },
      resolve: ({ reasons }) => [...reasons],
    }),
  }),
});

builder.queryFields((t) => ({
  previewSegment: t.field({
    type: SegmentPreviewObject,
    authScopes: { readAll: true },
    description: 'Counts whom a filter holds for right now, and shows some of them. Nothing is saved.',
    args: {
      filter: t.arg({ type: AudienceFilterInput, required: true, description: 'Who is meant.' }),
      first: t.arg.int({ required: false, description: 'How many to show, 1 to 100. Default 20.' }),
    },
    resolve: (_, { filter, first }, { db }) => {
      const { limit } = parsePage({ first });
      return previewSegment(db, { filter: toLocalFilter(filter, ['filter']), first: limit });
    },
  }),
  explainSegmentMembership: t.field({
    type: SegmentMembershipObject,
    nullable: true,
    authScopes: { readAll: true },
    description: 'Why a user is in a segment, or is not. Null when there is no such segment, or no such user.',
    args: {
      segment: t.arg.id({ required: true, description: 'Global id.' }),
      user: t.arg({ type: UserRefInput, required: true, description: 'Names the user.' }),
    },
    resolve: (_, { segment, user }, { db }) => {
      const segmentId = toLocalId(segment, 'Segment');
      return segmentId === null ? null : explainMembership(db, { segmentId, user: toUserReferenceInput(user) });
    },
  }),
}));
