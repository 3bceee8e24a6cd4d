import { DomainError } from '../errors.ts';
import type { App } from '../generated/prisma/client.ts';
import { UserRegistration } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import type { Context } from '../graphql/context.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, parseId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { isInstallation, mayReadAll } from '../graphql/rights.ts';
import { sql } from '../storage/database.ts';
import { createApp } from './create-app.ts';
import { AppChannelObject, AppChannelsInput, channelsOfApp } from './own-channels-schema.ts';
import { updateApp } from './update-app.ts';
import { UserTokenKeyInput, UserTokenKeyObject, userTokenKeysOfApp } from './user-token-keys-schema.ts';

/** An app by id. */
export const appById: Loader<string, App | null> = byId((db, ids) => db.app.findMany({ where: { id: { in: ids } } }));

const UserRegistrationEnum = builder.enumType('UserRegistration', {
  description: 'Who may say who uses an installation of an app.',
  values: {
    [UserRegistration.SERVER_ONLY]: { description: "Only the app's back end, with a server key. The default." },
    [UserRegistration.SIGNED]: {
      description:
        "Also a client, with a token that the app's back end has signed (`userToken`): it becomes exactly the user that the token names.",
    },
    [UserRegistration.OPEN]: {
      description:
        'Also a client, unverified: what it claims names nobody for others and makes no recipient, and ends when a server key or a signed token says it of somebody. Signed tokens count too.',
    },
  },
});

/** The app that calls; null for a caller that is of no app, or no longer. */
function ownAppId(context: Context): string | null {
  const { caller } = context;
  if (caller?.kind === 'APP') return caller.appId;
  return caller?.kind === 'INSTALLATION' && isInstallation(context) ? caller.appId : null;
}

function mayReadApp(context: Context, id: string): boolean {
  return mayReadAll(context) || ownAppId(context) === id;
}

export const AppObject = builder.prismaObject('App', {
  description: 'A mobile app or website. Installations belong to one.',
  authScopes: ({ id }, context) => mayReadApp(context, id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique.' }),
    userRegistration: t.expose('userRegistration', {
      type: UserRegistrationEnum,
      description: 'Who may say who uses an installation.',
    }),
    webPushPublicKey: t.string({
      description:
        'With which a browser subscribes: `pushManager.subscribe({ applicationServerKey })`. The VAPID public key (RFC 8292), base64url.',
      resolve: (_, __, { webPushPublicKey }) => webPushPublicKey,
    }),
    allowedOrigins: t.exposeStringList('allowedOrigins', {
      authScopes: { readAll: true },
      description:
        'Origins of web pages that may call with its key, or as its installations. For server and dashboard keys.',
    }),
    isLimitedToOperations: t.exposeBoolean('isLimitedToOperations', {
      authScopes: { readAll: true },
      description: 'Whether its clients may run registered operations only. For server and dashboard keys.',
    }),
    userTokenKeys: t.field({
      type: [UserTokenKeyObject],
      authScopes: { readAll: true },
      description: 'With which its back end signs who its user is, by key id. For server and dashboard keys.',
      resolve: ({ id }, _, { loaders }) => loaders.load(userTokenKeysOfApp, id),
    }),
    channels: t.field({
      type: [AppChannelObject],
      authScopes: { readAll: true },
      description:
        'By what it sends that does not send by what the environment of the program says, by provider. For server and dashboard keys.',
      resolve: ({ id }, _, { loaders }) => loaders.load(channelsOfApp, id),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  }),
});

builder.nodeRef(AppObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) => (mayReadApp(context, id) ? context.loaders.load(appById, id) : null),
});

builder.queryFields((t) => ({
  app: t.field({
    type: AppObject,
    authScopes: { readAll: true, app: true, installation: true },
    description: 'An app. One that there is not, or not for this caller to see, is a bad input.',
    args: {
      id: t.arg.id({ description: 'Global id. Default: the app that calls; for callers of no app, the default app.' }),
    },
    resolve: async (_, args, context) => {
      const id = parseId(args.id, 'App', ['id']) ?? ownAppId(context);
      if (id === null) return context.db.app.findFirstOrThrow({ orderBy: { createdAt: 'asc' } });
      const app = mayReadApp(context, id) ? await context.loaders.load(appById, id) : null;
      if (!app) throw new DomainError('NOT_FOUND', 'There is no such app.', ['id']);
      return app;
    },
  }),
  apps: t.connection({
    type: AppObject,
    authScopes: { readAll: true },
    description: 'All apps, oldest first.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`apps a`, row: sql`a.*`, id: sql`a.id`, where: sql`true` };
      return toConnection(page, await loadPage<App>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
}));

/** The app that a verb has just written. */
async function getApp(found: Promise<App | null>): Promise<App> {
  const app = await found;
  if (!app) throw new Error('The app that was written is not there.');
  return app;
}

builder.relayMutationField(
  'createApp',
  {
    description: 'A new app.',
    inputFields: (t) => ({
      name: t.string({ required: true, description: 'Unique, 1 to 256 characters.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description: 'Makes an app, without keys: `createApiKey` makes the one that its clients register with.',
    authScopes: { administer: true },
    errors: refusedWith('VALUE_INVALID', 'NAME_TAKEN', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input }, context) => {
      const made = await createApp(context, { ...input, principal: principalOf(context) });
      context.loaders.renew();
      return made;
    },
  },
  {
    description: 'The app.',
    outputFields: (t) => ({
      app: t.field({
        type: AppObject,
        description: 'As it was made.',
        resolve: ({ appId }, _, { loaders }) => getApp(loaders.load(appById, appId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'updateApp',
  {
    description: 'What is to be different. What is absent or null stays as it is.',
    inputFields: (t) => ({
      app: t.id({ required: true, description: 'Global id.' }),
      name: t.string({ description: 'Unique, 1 to 256 characters.' }),
      userRegistration: t.field({ type: UserRegistrationEnum, description: 'Who may say who uses an installation.' }),
      allowedOrigins: t.stringList({
        description:
          'Origins of web pages that may call, such as "https://shop.example"; replaces the present ones. At most 100, each exactly an origin: no path, no wildcard.',
      }),
      isLimitedToOperations: t.boolean({
        description: 'Let clients of the app run registered operations only.',
      }),
      userTokenKeys: t.field({
        type: [UserTokenKeyInput],
        description:
          'With which its back end signs who its user is; replaces the present ones, and an empty list removes them. At most 10.',
      }),
      channels: t.field({
        type: AppChannelsInput,
        description: 'By what it sends instead of what the environment of the program says: credentials of its own.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description: 'Changes the settings of an app.',
    authScopes: { administer: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'NAME_TAKEN', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { app, ...update } }, context) => {
      const done = await updateApp(context, {
        ...update,
        appId: parseId(app, 'App', ['app']),
        principal: principalOf(context),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The app.',
    outputFields: (t) => ({
      app: t.field({
        type: AppObject,
        description: 'As it is now.',
        resolve: ({ appId }, _, { loaders }) => getApp(loaders.load(appById, appId)),
      }),
    }),
  },
);
