import type { Segment, User } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, relatedConnection, relatedPages, selects, toConnection } from '../graphql/connection.ts';
import { localId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { sql } from '../storage/database.ts';
import { UserObject } from '../users/schema.ts';
import { type Count, countMembers, membersSql } from './audience.ts';
import { decideDynamicSegments } from './explain-membership.ts';
import { toShownFilter } from './filter.ts';

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

/** Static ones by their members. Dynamic ones are decided for each user, which is little work beside a statement for each. */
const segmentsOfUser = relatedPages<Segment>({
  from: sql`segment_members m join segments s on s.id = m.segment_id`,
  row: sql`s.*`,
  id: sql`s.id`,
  belongs: sql`m.user_id = parent.id`,
  shared: { from: sql`segments s where s.filter is not null`, decide: decideDynamicSegments },
});

const countOfSegment: Loader<string, Count> = { load: (db, ids) => countMembers(db, ids) };

const SegmentKind = builder.enumType('SegmentKind', {
  description: 'How a segment gets its members.',
  values: {
    STATIC: { description: 'They are put in and taken out one by one.' },
    DYNAMIC: { description: 'Its filter says of every user, at any time, whether it is in.' },
  },
});

export const SegmentObject = builder.prismaObject('Segment', {
  description: 'A named audience.',
  authScopes: { readAll: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it is for.' }),
    kind: t.field({
      type: SegmentKind,
      description: 'How it gets its members. Never changes.',
      resolve: ({ filter }) => (filter === null ? ('STATIC' as const) : ('DYNAMIC' as const)),
    }),
    filter: t.field({
      type: 'JSONObject',
      nullable: true,
      description:
        'Of a dynamic segment, who is in it: an `AudienceFilter` in normal form (ids are local ones, which an input takes too).',
      resolve: ({ filter }) => toShownFilter(filter),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    memberCount: t.int({
      description:
        'How many users are in it, exactly, at `memberCountedAt`. A dynamic segment is counted when this is asked.',
      resolve: async ({ id }, _, { loaders }) => (await loaders.load(countOfSegment, id)).count,
    }),
    memberCountedAt: t.field({
      type: 'DateTime',
      description: 'When `memberCount` was counted: now.',
      resolve: async ({ id }, _, { loaders }) => (await loaders.load(countOfSegment, id)).countedAt,
    }),
    members: t.connection({
      type: UserObject,
      description: 'The users in it, oldest profile first.',
      resolve: async ({ id, filter }, args, { db, loaders }, info) => {
        if (filter === null) return relatedConnection(membersOfSegment, id, { args, loaders, info });
        const page = parsePage(args);
        const list = { from: sql`users u`, row: sql`u.*`, id: sql`u.id`, where: await membersSql(db, id) };
        return toConnection(page, await loadPage<User>(db, list, { page, withCount: selects(info, 'totalCount') }));
      },
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
    description: 'The segments that the user is in, static and dynamic, oldest first. For server keys.',
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(segmentsOfUser, id, { args, loaders, info }),
  }),
);

builder.queryFields((t) => ({
  segment: t.field({
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
  segments: t.connection({
    type: SegmentObject,
    authScopes: { readAll: true },
    description: 'All segments, oldest first.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`segments s`, row: sql`s.*`, id: sql`s.id`, where: sql`true` };
      return toConnection(page, await loadPage<Segment>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
}));
