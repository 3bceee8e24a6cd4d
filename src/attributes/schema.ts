import type { AttributeDefinition as DefinitionRow } from '../generated/prisma/client.ts';
import { AttributeOwner, AttributeType } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { byId, type Loader, type Loaders } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { sql } from '../storage/database.ts';
import {
  type AttributeDefinition,
  type AttributeField,
  listAttributeDefinitions,
  parseFieldsColumn,
} from './attribute-definition.ts';
import { toCustomAttributes } from './custom-attributes.ts';
import { defineAttribute } from './define-attribute.ts';
import { removeAttributeDefinition } from './remove-attribute-definition.ts';

const definitionById: Loader<string, DefinitionRow | null> = byId((db, ids) =>
  db.attributeDefinition.findMany({ where: { id: { in: ids } } }),
);

/** What is in force, by name. */
const definitionsByOwner: Loader<AttributeOwner, ReadonlyMap<string, AttributeDefinition>> = {
  load: (db, owners) =>
    Promise.all(
      owners.map(async (owner) => {
        const definitions = await listAttributeDefinitions(db, owner);
        return new Map(definitions.map((definition) => [definition.name, definition]));
      }),
    ),
};

/** Stored custom attributes as they are told: those that are defined. */
export async function tellCustomAttributes(
  loaders: Loaders,
  owner: AttributeOwner,
  stored: unknown,
): Promise<Record<string, unknown>> {
  return toCustomAttributes(stored, await loaders.load(definitionsByOwner, owner));
}

const AttributeOwnerEnum = builder.enumType('AttributeOwner', {
  description: 'What has a custom attribute.',
  values: {
    [AttributeOwner.USER]: { description: 'Users.' },
    [AttributeOwner.INSTALLATION]: { description: 'Installations.' },
  },
});

const AttributeTypeEnum = builder.enumType('AttributeType', {
  description: 'What a custom attribute holds, or a field of the objects in a list.',
  values: {
    [AttributeType.STRING]: { description: 'A text of at most 4096 characters, kept in Unicode NFC.' },
    [AttributeType.NUMBER]: {
      description:
        'A decimal number of at most 1,000 digits, kept exactly. Written as a text, such as "19.90", or as a JSON number; an integer beyond 2^53 as a text, since readers of JSON round it.',
    },
    [AttributeType.BOOLEAN]: { description: 'True or false.' },
    [AttributeType.DATE]: { description: 'A day without a time: "2020-11-30".' },
    [AttributeType.DATETIME]: {
      description: 'A moment, as RFC 3339 with an offset; told in UTC, to the millisecond: "2026-11-22T15:04:05.678Z".',
    },
    [AttributeType.OBJECT_LIST]: {
      description: 'At most 128 objects that hold the declared fields, 4096 characters as JSON. Not within a list.',
    },
  },
});

const AttributeFieldObject = builder.objectRef<AttributeField>('AttributeField').implement({
  description: 'What each object of a list may hold.',
  authScopes: { readAll: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name in the object.' }),
    type: t.expose('type', { type: AttributeTypeEnum, description: 'What it holds; never a list.' }),
  }),
});

const AttributeDefinitionObject = builder.prismaObject('AttributeDefinition', {
  description: 'A custom attribute that may be written.',
  authScopes: { readAll: true },
  fields: (t) => ({
    owner: t.expose('owner', { type: AttributeOwnerEnum, description: 'What has it.' }),
    name: t.exposeString('name', { description: 'Unique among those of one owner.' }),
    type: t.expose('type', { type: AttributeTypeEnum, description: 'What it holds. Never changes.' }),
    fields: t.field({
      type: [AttributeFieldObject],
      description: 'What each object of an OBJECT_LIST may hold; empty for other types.',
      resolve: ({ fields }) => parseFieldsColumn(fields),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was defined.' }),
    removedAt: t.expose('removedAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'Since when its values are being removed, none of which is told or written any more. Then it is gone.',
    }),
  }),
});

builder.queryField('attributeDefinitions', (t) =>
  t.connection({
    type: AttributeDefinitionObject,
    authScopes: { readAll: true },
    description: 'Custom attributes, oldest first; those that are being removed among them.',
    args: { owner: t.arg({ type: AttributeOwnerEnum, description: 'Only those of users, or of installations.' }) },
    resolve: async (_, { owner, ...args }, { db }, info) => {
      const page = parsePage(args);
      const wanted = owner ?? null;
      const list = {
        from: sql`attribute_definitions d`,
        row: sql`d.*`,
        id: sql`d.id`,
        where: sql`(${wanted}::attribute_owner is null or d.owner = ${wanted}::attribute_owner)`,
      };
      return toConnection(
        page,
        await loadPage<DefinitionRow>(db, list, { page, withCount: selects(info, 'totalCount') }),
      );
    },
  }),
);

const AttributeFieldInput = builder.inputType('AttributeFieldInput', {
  description: 'What each object of a list may hold.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'As the name of an attribute; unique in the object.' }),
    type: t.field({ type: AttributeTypeEnum, required: true, description: 'Any but OBJECT_LIST.' }),
  }),
});

builder.relayMutationField(
  'defineAttribute',
  {
    description: 'A custom attribute.',
    inputFields: (t) => ({
      owner: t.field({ type: AttributeOwnerEnum, required: true, description: 'What is to have it.' }),
      name: t.string({
        required: true,
        description:
          'Unique among those of the owner: 1 to 256 characters, none of { } [ ] and no control characters, kept in Unicode NFC.',
      }),
      type: t.field({ type: AttributeTypeEnum, required: true, description: 'What it holds.' }),
      fields: t.field({
        type: [AttributeFieldInput],
        description: 'OBJECT_LIST only: 1 to 64 fields, each of which an object may leave out.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Lets users or installations have a custom attribute: at most 500 each. The same definition again changes nothing; a known name with another type or other fields is NAME_TAKEN, one that is being removed STATE_CONFLICT.',
    authScopes: { write: true },
    errors: refusedWith('VALUE_INVALID', 'NAME_TAKEN', 'STATE_CONFLICT', 'LIMIT_EXCEEDED', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const done = await defineAttribute(context, { ...input, principal: principalOf(context) });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The attribute.',
    outputFields: (t) => ({
      attributeDefinition: t.field({
        type: AttributeDefinitionObject,
        nullable: true,
        description: 'As it is defined; null when it was removed since.',
        resolve: ({ definitionId }, _, { loaders }) => loaders.load(definitionById, definitionId),
      }),
    }),
  },
);

builder.relayMutationField(
  'removeAttributeDefinition',
  {
    description: 'Which custom attribute.',
    inputFields: (t) => ({
      owner: t.field({ type: AttributeOwnerEnum, required: true, description: 'What has it.' }),
      name: t.string({ required: true, description: 'As it was defined, in whatever Unicode form.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Removes a custom attribute and all of its values. None is told or written from now on; a worker removes them, which takes a while where there are many, and until then the name cannot be defined anew. STATE_CONFLICT while the filter of a segment, or of a send that is being fanned out, uses it.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'STATE_CONFLICT', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const done = await removeAttributeDefinition(context, { ...input, principal: principalOf(context) });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'What is left of it.',
    outputFields: (t) => ({
      attributeDefinition: t.field({
        type: AttributeDefinitionObject,
        nullable: true,
        description: 'The attribute while its values are being removed; null once they are.',
        resolve: ({ definitionId }, _, { loaders }) => loaders.load(definitionById, definitionId),
      }),
    }),
  },
);
