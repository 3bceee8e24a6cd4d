import { builder } from '../../graphql/builder.ts';
import { refusedWith } from '../../graphql/errors.ts';
import { parseId } from '../../graphql/global-id.ts';
import { principalOf } from '../../graphql/principal.ts';
import { toUserReferenceInput, UserObject, UserRefInput, userById } from '../../users/schema.ts';
import { type StandardAttribute, standardAttributes } from '../../users/user-attributes.ts';
import type { MergeOverrides } from './decide-join.ts';
import { mergeUsers } from './merge.ts';
import { parseLeftBehind } from './merge-record.ts';

import { LeftBehindObject, leftBehindCounted, MergeRecordObject, mergeRecordById } from './merge-record-schema.ts';
import { unmergeUsers } from './unmerge.ts';

const UserAttributeNameEnum = builder.enumType('UserAttributeName', {
  description: 'A standard attribute of which a user has one value.',
  values: Object.fromEntries(
    standardAttributes.map((name) => [toEnumName(name), { value: name, description: `\`User.${name}\`.` }]),
  ),
});

function toEnumName(name: StandardAttribute): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** How a merge's input overrides that the survivor's values win. */
export const MergeOverridesInput = builder.inputType('MergeOverridesInput', {
  description:
    "For which attributes the merged user's value wins. Where it has none, the survivor's stays. Tags are always united, and an opt-out always wins.",
  fields: (t) => ({
    attributes: t.field({ type: [UserAttributeNameEnum], description: 'Standard attributes.' }),
    customAttributes: t.stringList({ description: 'Custom attributes, by name.' }),
  }),
});

/** Overrides as the verbs take them. */
export function toOverrides(input: typeof MergeOverridesInput.$inferInput | null | undefined): MergeOverrides {
  return { attributes: input?.attributes ?? [], customAttributes: input?.customAttributes ?? [] };
}

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
      overrides: t.field({
        type: MergeOverridesInput,
        description: "For which attributes the merged user's value wins. Default: none.",
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Joins two users. The survivor's values win unless `overrides` says otherwise, blanks are filled; recipients, tags, installations and memberships are united; an opt-out always wins. `previewMerge` tells the outcome before, `unmergeUsers` undoes it.",
    authScopes: { write: true },
    errors: refusedWith(
      'NOT_FOUND',
      'MERGE_CONFLICT',
      'IDENTIFIER_LIMIT_EXCEEDED',
      'MERGE_LIMIT_EXCEEDED',
      'EMAIL_INVALID',
      'PHONE_INVALID',
      'VALUE_INVALID',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input: { survivor, merged, overrides, ...rest } }, context) => {
      const done = await mergeUsers(context, {
        ...rest,
        principal: principalOf(context),
        survivor: toUserReferenceInput(survivor),
        merged: toUserReferenceInput(merged),
        overrides: toOverrides(overrides),
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

builder.relayMutationField(
  'unmergeUsers',
  {
    description: 'Which merge is undone.',
    inputFields: (t) => ({
      mergeRecord: t.id({
        required: true,
        description: 'Global id of its record: the newest of its survivor that was not undone.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Undoes a merge or the absorption of a lead: what moved and is still with the survivor goes back to the merged user, which exists again. What was changed since stays with the survivor. Of one survivor the newest merge is undone first; a survivor that was itself merged since has to be restored first.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'STATE_CONFLICT', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { mergeRecord, idempotencyKey } }, context) => {
      const done = await unmergeUsers(context, {
        principal: principalOf(context),
        mergeRecordId: parseId(mergeRecord, 'MergeRecord', ['mergeRecord']),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The two users.',
    outputFields: (t) => ({
      survivor: t.field({
        type: UserObject,
        nullable: true,
        description: 'Who had remained, without what went back.',
        resolve: ({ survivorId }, _, { loaders }) => loaders.load(userById, survivorId),
      }),
      restored: t.field({
        type: UserObject,
        nullable: true,
        description: 'The user that had been merged, as one of its own.',
        resolve: ({ restoredId }, _, { loaders }) => loaders.load(userById, restoredId),
      }),
      mergeRecord: t.field({
        type: MergeRecordObject,
        nullable: true,
        description: 'The record, which says that it was undone.',
        resolve: ({ mergeRecordId }, _, { loaders }) => loaders.load(mergeRecordById, mergeRecordId),
      }),
      leftBehind: t.field({
        type: [LeftBehindObject],
        extensions: { listSizeMax: leftBehindCounted },
        description: 'What could not be given back.',
        resolve: async ({ mergeRecordId }, _, { loaders }) => {
          const record = await loaders.load(mergeRecordById, mergeRecordId);
          return record ? parseLeftBehind(record) : [];
        },
      }),
    }),
  },
);
