import type { Segment, User } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { relatedConnection, relatedPages } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, parseId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { sql } from '../storage/database.ts';
import { toUserReferenceInput, UserObject, UserRefInput } from '../users/schema.ts';
import { addToSegment, type MembershipChanged, removeFromSegment } from './change-members.ts';
import { createSegment } from './create-segment.ts';

/** A segment by id. */
export const segmentById: Loader<string, Segment | null> = byId((db, ids) =>
  db.segment.findMany({ where: { id: { in: ids } } }),
);

const membersOfSegment = relatedPages<User>({
  from: sql`segment_members m join users u on u.id = m.user_id`,
  row: sql`u.*`,
  id: sql`u.id`,
  belongs: sql`m.segment_id = parent.id`,
});

const segmentsOfUser = relatedPages<Segment>({
  from: sql`segment_members m join segments s on s.id = m.segment_id`,
  row: sql`s.*`,
  id: sql`s.id`,
  belongs: sql`m.user_id = parent.id`,
});

const memberCountOfSegment: Loader<string, number> = {
  async load(db, ids) {
    const rows = await db.segmentMember.groupBy({
      by: ['segmentId'],
      where: { segmentId: { in: [...ids] } },
      _count: true,
    });
    const counts = new Map(rows.map((row) => [row.segmentId, row._count]));
    return ids.map((id) => counts.get(id) ?? 0);
  },
};

const SegmentKind = builder.enumType('SegmentKind', {
  description: 'How a segment gets its members.',
  values: { STATIC: { description: 'They are put in and taken out one by one.' } },
});

export const SegmentObject = builder.prismaObject('Segment', {
  description: 'A named audience.',
  authScopes: { readAll: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it is for.' }),
    kind: t.field({ type: SegmentKind, description: 'How it gets its members.', resolve: () => 'STATIC' as const }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    memberCount: t.int({
      description: 'How many users are in it, exactly.',
      resolve: ({ id }, _, { loaders }) => loaders.load(memberCountOfSegment, id),
    }),
    members: t.connection({
      type: UserObject,
      description: 'The users in it, oldest profile first.',
      resolve: ({ id }, args, { loaders }, info) => relatedConnection(membersOfSegment, id, { args, loaders, info }),
    }),
  }),
});

builder.nodeRef(SegmentObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) => (mayReadAll(context) ? context.loaders.load(segmentById, id) : null),
});

builder.prismaObjectField(UserObject, 'segments', (t) =>
  t.connection({
    type: SegmentObject,
    authScopes: { readAll: true },
    description: 'The segments that the user is in, oldest first. For server keys.',
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(segmentsOfUser, id, { args, loaders, info }),
  }),
);

builder.queryField('segment', (t) =>
  t.field({
    type: SegmentObject,
    nullable: true,
    authScopes: { readAll: true },
    description: 'A segment; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: (_, args, { loaders }) => {
      const id = toLocalId(args.id, 'Segment');
      return id === null ? null : loaders.load(segmentById, id);
    },
  }),
);

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
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description: 'Makes an empty static segment.',
    authScopes: { write: true },
    errors: refusedWith('VALUE_INVALID', 'NAME_TAKEN', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const made = await createSegment(context, { ...input, principal: principalOf(context) });
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
