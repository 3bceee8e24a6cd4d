import type { MergeRecord } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { relatedConnection, relatedPages } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { sql } from '../storage/database.ts';
import { toUserReferenceInput, UserObject, UserRefInput, userById } from '../users/schema.ts';
import { mergeUsers } from './merge.ts';

/** A merge record by id. */
export const mergeRecordById: Loader<string, MergeRecord | null> = byId((db, ids) =>
  db.mergeRecord.findMany({ where: { id: { in: ids } } }),
);

const mergeRecordsOfUser = relatedPages<MergeRecord>({
  from: sql`merge_records m`,
  row: sql`m.*`,
  id: sql`m.id`,
  belongs: sql`m.survivor_id = parent.id`,
});

export const MergeRecordObject = builder.prismaObject('MergeRecord', {
  description: 'That two users became one: by a merge, or because a lead was absorbed.',
  authScopes: { readAll: true },
  fields: (t) => ({
    survivor: t.field({
      type: UserObject,
      nullable: true,
      description: 'Who remained.',
      resolve: ({ survivorId }, _, { loaders }) => loaders.load(userById, survivorId),
    }),
    mutation: t.exposeString('reason', { description: 'The mutation that did it: `mergeUsers` or `personalize`.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the two became one.' }),
  }),
});

builder.nodeRef(MergeRecordObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) => (mayReadAll(context) ? context.loaders.load(mergeRecordById, id) : null),
});

builder.prismaObjectField(UserObject, 'mergeRecords', (t) =>
  t.connection({
    type: MergeRecordObject,
    authScopes: { readAll: true },
    description: 'What was merged into this user, oldest first. For server keys.',
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(mergeRecordsOfUser, id, { args, loaders, info }),
  }),
);

builder.relayMutationField(
  'mergeUsers',
  {
    description: 'Which two users are one person.',
    inputFields: (t) => ({
      survivor: t.field({ type: UserRefInput, required: true, description: 'Who remains; whose values win.' }),
      merged: t.field({
        type: UserRefInput,
        required: true,
        description: 'Who is joined to it, and redirects to it from then on.',
      }),
      allowAlias: t.boolean({
        required: true,
        defaultValue: false,
        description: "With two different external user ids: keep the merged one's as an alias that goes on resolving.",
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Joins two users. The survivor's values win, blanks are filled; recipients, tags, installations and memberships are united; an opt-out always wins.",
    authScopes: { write: true },
    errors: refusedWith(
      'NOT_FOUND',
      'MERGE_CONFLICT',
      'IDENTIFIER_LIMIT_EXCEEDED',
      'EMAIL_INVALID',
      'PHONE_INVALID',
      'VALUE_INVALID',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input: { survivor, merged, ...rest } }, context) => {
      const done = await mergeUsers(context, {
        ...rest,
        principal: principalOf(context),
        survivor: toUserReferenceInput(survivor),
        merged: toUserReferenceInput(merged),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The one user.',
    outputFields: (t) => ({
      user: t.field({
        type: UserObject,
        nullable: true,
        description: 'The survivor.',
        resolve: ({ userId }, _, { loaders }) => loaders.load(userById, userId),
      }),
      mergeRecord: t.field({
        type: MergeRecordObject,
        nullable: true,
        description: 'What was done.',
        resolve: ({ mergeRecordId }, _, { loaders }) => loaders.load(mergeRecordById, mergeRecordId),
      }),
    }),
  },
);
