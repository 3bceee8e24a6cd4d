import type { ApiKey } from '../generated/prisma/client.ts';
import { ApiKeyKind } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, parseId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { sql } from '../storage/database.ts';
import { createApiKey } from './create-api-key.ts';
import { revokeApiKey } from './revoke-api-key.ts';
import { rotateApiKey } from './rotate-api-key.ts';
import { AppObject, appById } from './schema.ts';
import type { IssuedSecret } from './write-secret.ts';

/** A key by id. */
export const apiKeyById: Loader<string, ApiKey | null> = byId((db, ids) =>
  db.apiKey.findMany({ where: { id: { in: ids } } }),
);

const ApiKeyKindEnum = builder.enumType('ApiKeyKind', {
  description: 'What a key is for.',
  values: {
    [ApiKeyKind.SERVER]: { description: 'A back end: may do everything.' },
    [ApiKeyKind.APP]: { description: "An app's clients, before they have registered: may be published." },
    [ApiKeyKind.PARTNER]: { description: 'A partner: may run the operations that are registered for it.' },
    [ApiKeyKind.DASHBOARD]: {
      description:
        'A dashboard: may read everything but keys, webhooks, the audit log, exports, and messages as they are rendered.',
    },
  },
});

export const ApiKeyObject = builder.prismaObject('ApiKey', {
  description: 'A key. Its secret was shown when it was made, and is kept nowhere.',
  authScopes: { administer: true },
  fields: (t) => ({
    kind: t.expose('kind', { type: ApiKeyKindEnum, description: 'What it is for.' }),
    name: t.exposeString('name', { description: 'What people call it. Not unique.' }),
    app: t.field({
      type: AppObject,
      nullable: true,
      description: 'Whose clients it is for; null unless an APP key.',
      resolve: ({ appId }, _, { loaders }) => (appId === null ? null : loaders.load(appById, appId)),
    }),
    partner: t.exposeString('partner', { nullable: true, description: 'Whose it is; null unless a PARTNER key.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was used last, known some seconds later; null: never.',
    }),
    previousExpiresAt: t.expose('previousExpiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the secret from before its rotation stops working; null: there is none.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null: it is in force.',
    }),
  }),
});

builder.nodeRef(ApiKeyObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, { caller, loaders }) => (caller?.kind === 'SERVER' ? loaders.load(apiKeyById, id) : null),
});

builder.queryField('apiKeys', (t) =>
  t.connection({
    type: ApiKeyObject,
    authScopes: { administer: true },
    description: 'All keys, oldest first, also revoked ones. For server keys.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`api_keys k`, row: sql`k.*`, id: sql`k.id`, where: sql`true` };
      return toConnection(page, await loadPage<ApiKey>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
);

/** The key that a verb has just written. */
async function getApiKey(found: Promise<ApiKey | null>): Promise<ApiKey> {
  const key = await found;
  if (!key) throw new Error('The key that was written is not there.');
  return key;
}

const idempotencyKeyDescription = 'Makes a repeat of this call harmless for 24 hours.';

builder.relayMutationField(
  'createApiKey',
  {
    description: 'A new key.',
    inputFields: (t) => ({
      kind: t.field({ type: ApiKeyKindEnum, required: true, description: 'What it is for.' }),
      name: t.string({ required: true, description: 'What people call it, 1 to 256 characters. Need not be unique.' }),
      app: t.id({ description: 'Whose clients it is for: of an APP key, and of no other. Global id.' }),
      partner: t.string({
        description:
          "Whose it is: of a PARTNER key, and of no other. 1 to 100 characters of A-Z, a-z, 0-9, '.', '_', '-'.",
      }),
      idempotencyKey: t.string({ description: `${idempotencyKeyDescription} It answers the key without its secret.` }),
    }),
  },
  {
    description: 'Makes a key. Its secret is shown only now.',
    authScopes: { administer: true },
    errors: refusedWith('VALUE_INVALID', 'NOT_FOUND', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { app, ...key } }, context) => {
      const made = await createApiKey(context, {
        ...key,
        appId: parseId(app, 'App', ['app']),
        principal: principalOf(context),
      });
      context.loaders.renew();
      return made;
    },
  },
  {
    description: 'The key and its secret.',
    outputFields: (t) => ({
      apiKey: t.field({
        type: ApiKeyObject,
        description: 'As it was made.',
        resolve: ({ apiKeyId }, _, { loaders }) => getApiKey(loaders.load(apiKeyById, apiKeyId)),
      }),
      secret: t.exposeString('secret', {
        nullable: true,
        description: 'Bearer secret. Shown only now: null for a repeat with the same idempotency key.',
      }),
    }),
  },
);

builder.relayMutationField(
  'rotateApiKey',
  {
    description: 'Which key gets a new secret.',
    inputFields: (t) => ({
      apiKey: t.id({ required: true, description: 'Global id.' }),
      graceSeconds: t.int({
        required: true,
        defaultValue: 0,
        description: 'How long the present secret goes on working: 0 seconds to 7 days.',
      }),
      idempotencyKey: t.string({ description: `${idempotencyKeyDescription} It answers the key without its secret.` }),
    }),
  },
  {
    description:
      'Gives a key a new secret, which is shown only now. Its id and its rights stay. Streams that were opened with the secret before end when that stops working.',
    authScopes: { administer: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'STATE_CONFLICT', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { apiKey, ...rotation } }, context): Promise<IssuedSecret> => {
      const rotated = await rotateApiKey(context, {
        ...rotation,
        apiKeyId: parseId(apiKey, 'ApiKey', ['apiKey']),
        principal: principalOf(context),
      });
      context.loaders.renew();
      return rotated;
    },
  },
  {
    description: 'The key and its new secret.',
    outputFields: (t) => ({
      apiKey: t.field({
        type: ApiKeyObject,
        description: 'As it is now.',
        resolve: ({ apiKeyId }, _, { loaders }) => getApiKey(loaders.load(apiKeyById, apiKeyId)),
      }),
      secret: t.exposeString('secret', {
        nullable: true,
        description: 'Bearer secret. Shown only now: null for a repeat with the same idempotency key.',
      }),
    }),
  },
);

builder.relayMutationField(
  'revokeApiKey',
  {
    description: 'Which key is to work no more.',
    inputFields: (t) => ({
      apiKey: t.id({ required: true, description: 'Global id.' }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  },
  {
    description:
      'Ends a key for good, with the streams that were opened with it. One that was revoked before stays as it is; the last server key is not revoked.',
    authScopes: { administer: true },
    errors: refusedWith('NOT_FOUND', 'STATE_CONFLICT', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { apiKey, idempotencyKey } }, context) => {
      const done = await revokeApiKey(context, {
        apiKeyId: parseId(apiKey, 'ApiKey', ['apiKey']),
        idempotencyKey,
        principal: principalOf(context),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The key.',
    outputFields: (t) => ({
      apiKey: t.field({
        type: ApiKeyObject,
        description: 'As it is now.',
        resolve: ({ apiKeyId }, _, { loaders }) => getApiKey(loaders.load(apiKeyById, apiKeyId)),
      }),
    }),
  },
);
