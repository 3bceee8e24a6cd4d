import type { Segment } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { toUserReferenceInput, UserRefInput } from '../users/schema.ts';
import { addToSegment, type MembershipChanged, removeFromSegment } from './change-members.ts';
import { createSegment } from './create-segment.ts';
import { deleteSegment } from './delete-segment.ts';
import { AudienceFilterInput, toLocalFilter } from './filter-schema.ts';
import { SegmentObject, segmentById } from './schema.ts';
import { updateSegment } from './update-segment.ts';

/** How a filter is refused. */
const filterRefusals = ['VALUE_INVALID', 'ATTRIBUTE_INVALID', 'LIMIT_EXCEEDED', 'NOT_FOUND'] as const;

const getSegment = async (found: Promise<Segment | null>): Promise<Segment> => {
  const segment = await found;
  if (!segment) throw new Error('The segment that was written is not there.');
  return segment;
};

builder.relayMutationField(
  'createSegment',
  {
    description: 'A new segment.',
    inputFields: (t) => ({
      name: t.string({ required: true, description: 'Unique, 1 to 256 characters.' }),
      description: t.string({ description: 'What it is for. At most 4096 characters.' }),
      filter: t.field({
        type: AudienceFilterInput,
        description: 'Makes it dynamic: whoever this holds for is in it, at any time. Default: static and empty.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description: 'Makes a segment: dynamic with a filter, else static and empty.',
    authScopes: { write: true },
    errors: refusedWith(...filterRefusals, 'NAME_TAKEN', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const filter = input.filter && toLocalFilter(input.filter, ['filter']);
      const made = await createSegment(context, { ...input, filter, principal: principalOf(context) });
      context.loaders.renew();
      return made;
    },
  },
  {
    description: 'The segment.',
    outputFields: (t) => ({
      segment: t.field({
        type: SegmentObject,
        description: 'As it was made.',
        resolve: ({ segmentId }, _, { loaders }) => getSegment(loaders.load(segmentById, segmentId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'updateSegment',
  {
    description: 'What is to change of a segment: what is absent stays.',
    inputFields: (t) => ({
      segment: t.id({ required: true, description: 'Global id.' }),
      name: t.string({ description: 'Unique, 1 to 256 characters.' }),
      description: t.string({ description: 'What it is for. At most 4096 characters; null removes it.' }),
      filter: t.field({
        type: AudienceFilterInput,
        description: 'Who is in it from now on, as a whole. Of a dynamic segment only: a static one is STATE_CONFLICT.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Renames a segment, describes it, or changes its filter. A send that is being fanned out goes on with the new one.',
    authScopes: { write: true },
    errors: refusedWith(...filterRefusals, 'NAME_TAKEN', 'STATE_CONFLICT', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { segment, ...change } }, context) => {
      const segmentId = parseId(segment, 'Segment', ['segment']);
      const filter = change.filter && toLocalFilter(change.filter, ['filter']);
      const changed = await updateSegment(context, { ...change, filter, segmentId, principal: principalOf(context) });
      context.loaders.renew();
      return changed;
    },
  },
  {
    description: 'The segment.',
    outputFields: (t) => ({
      segment: t.field({
        type: SegmentObject,
        description: 'As it is now.',
        resolve: ({ segmentId }, _, { loaders }) => getSegment(loaders.load(segmentById, segmentId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'deleteSegment',
  {
    description: 'Which segment.',
    inputFields: (t) => ({
      segment: t.id({ required: true, description: 'Global id.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Removes a segment, not the people in it. Refused while another segment's filter, the scope of a partner's operation, a label, a template or a send that is under way uses it.",
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'SEGMENT_IN_USE', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { segment, idempotencyKey } }, context) => {
      const segmentId = parseId(segment, 'Segment', ['segment']);
      const gone = await deleteSegment(context, { segmentId, idempotencyKey, principal: principalOf(context) });
      context.loaders.renew();
      return gone;
    },
  },
  {
    description: 'What is gone.',
    outputFields: (t) => ({
      deletedSegmentId: t.globalID({
        description: 'Global id that the segment had.',
        resolve: ({ segmentId }) => ({ type: 'Segment', id: segmentId }),
      }),
    }),
  },
);

for (const { name, verb, description, changed } of [
  {
    name: 'addToSegment',
    verb: addToSegment,
    description: 'Puts users into a static segment.',
    changed: 'How many were not in it before.',
  },
  {
    name: 'removeFromSegment',
    verb: removeFromSegment,
    description: 'Takes users out of a static segment.',
    changed: 'How many were in it before.',
  },
]) {
  builder.relayMutationField(
    name,
    {
      description: 'Which users, and which segment.',
      inputFields: (t) => ({
        segment: t.id({ required: true, description: 'Global id.' }),
        users: t.field({ type: [UserRefInput], required: true, description: 'At most 10,000.' }),
        idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
      }),
    },
    {
      description,
      authScopes: { write: true },
      errors: refusedWith(
        'NOT_FOUND',
        'STATE_CONFLICT',
        'LIMIT_EXCEEDED',
        'EMAIL_INVALID',
        'PHONE_INVALID',
        'VALUE_INVALID',
        'IDEMPOTENCY_KEY_REUSED',
      ),
      resolve: async (_, { input }, context): Promise<MembershipChanged> => {
        const result = await verb(context, {
          principal: principalOf(context),
          segmentId: parseId(input.segment, 'Segment', ['segment']),
          users: input.users.map(toUserReferenceInput),
          idempotencyKey: input.idempotencyKey,
        });
        context.loaders.renew();
        return result;
      },
    },
    {
      description: 'The segment, and what changed.',
      outputFields: (t) => ({
        segment: t.field({
          type: SegmentObject,
          description: 'With its members of now.',
          resolve: ({ segmentId }, _, { loaders }) => getSegment(loaders.load(segmentById, segmentId)),
        }),
        changedCount: t.exposeInt('changedCount', { description: changed }),
        unknown: t.exposeIntList('unknown', { description: 'Places in `users` of references that name nobody.' }),
      }),
    },
  );
}
