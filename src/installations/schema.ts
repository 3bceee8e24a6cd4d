import type { Caller } from '../apps/caller.ts';
import type { Installation } from '../generated/prisma/client.ts';
import { Platform, PushStatus } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { relatedConnection, relatedPages } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { mayReadUser, visible } from '../graphql/ownership.ts';
import { refuseCaller } from '../graphql/refuse-caller.ts';
import { sql } from '../storage/database.ts';
import { UserObject, userById } from '../users/schema.ts';
import { noRegistration, refreshInstallationToken } from './refresh-installation-token.ts';
import { registerInstallation } from './register-installation.ts';

/** An installation by its push registration id. */
export const installationById: Loader<string, Installation | null> = byId((db, ids) =>
  db.installation.findMany({ where: { id: { in: ids } } }),
);

const installationsOfUser = relatedPages<Installation>({
  from: sql`installations i`,
  row: sql`i.*`,
  id: sql`i.id`,
  belongs: sql`i.user_id = parent.id`,
});

export const PlatformEnum = builder.enumType('Platform', {
  description: 'What an installation runs on.',
  values: {
    [Platform.WEB]: { description: 'A browser.' },
    [Platform.IOS]: { description: 'An iPhone or iPad.' },
    [Platform.ANDROID]: { description: 'A phone or tablet with Android.' },
  },
});

export const PushStatusEnum = builder.enumType('PushStatus', {
  description: 'Whether the person lets this installation receive pushes.',
  values: {
    [PushStatus.ASK]: { description: 'Nobody was asked yet.' },
    [PushStatus.ALLOWED]: { description: 'The person said yes.' },
    [PushStatus.BLOCKED]: { description: 'Refused.' },
    [PushStatus.UNSUPPORTED]: { description: 'The client cannot receive pushes.' },
    [PushStatus.SUSPENDED]: { description: "Set by the server: another installation took over this one's address." },
  },
});

export const InstallationObject = builder.prismaObject('Installation', {
  description: 'One app on one device or browser, from its first launch until it is removed.',
  authScopes: (installation, context) => mayReadUser(context, installation.userId),
  fields: (t) => ({
    pushRegistrationId: t.exposeID('id', {
      description: 'Names the installation everywhere an input says `installation`. A UUID.',
    }),
    platform: t.expose('platform', { type: PlatformEnum, description: 'What it runs on.' }),
    pushStatus: t.expose('pushStatus', { type: PushStatusEnum, description: 'Whether it may receive pushes.' }),
    isPushRegistrationEnabled: t.exposeBoolean('isPushRegistrationEnabled', {
      description: 'False: no push at all is sent to it, broadcasts neither.',
    }),
    isPrimaryDevice: t.exposeBoolean('isPrimaryDevice', {
      description: "Whether it is its user's primary device in its app. A send can be limited to primary devices.",
    }),
    language: t.exposeString('language', { nullable: true, description: 'BCP 47 language tag of the app or browser.' }),
    timeZone: t.exposeString('timeZone', { nullable: true, description: 'IANA time zone of the device.' }),
    appVersion: t.exposeString('appVersion', { nullable: true, description: "The app's version." }),
    osVersion: t.exposeString('osVersion', {
      nullable: true,
      description: "The operating system's or browser's version.",
    }),
    deviceModel: t.exposeString('deviceModel', { nullable: true, description: "The device's model." }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it registered first.' }),
    lastSeenAt: t.expose('lastSeenAt', { type: 'DateTime', description: 'When it registered last.' }),
    user: t.field({
      type: UserObject,
      description: 'Whose it is: a person, or a lead that nobody was told about yet.',
      resolve: async ({ userId }, _, { loaders }) => {
        const user = await loaders.load(userById, userId);
        if (!user) throw new Error('An installation has no user.');
        return user;
      },
    }),
  }),
});

builder.nodeRef(InstallationObject, {
  id: { resolve: localId },
  loadWithoutCache: async (id, context) =>
    visible(context, await context.loaders.load(installationById, id), (installation) => installation.userId),
});

builder.prismaObjectField(UserObject, 'installations', (t) =>
  t.connection({
    type: InstallationObject,
    description: "The user's installations of all apps, by id.",
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(installationsOfUser, id, { args, loaders, info }),
  }),
);

builder.queryField('installation', (t) =>
  t.field({
    type: InstallationObject,
    nullable: true,
    authScopes: { readSome: true },
    description: 'An installation; null when there is none, or none that this caller may see.',
    args: {
      id: t.arg.id({
        required: false,
        description: 'Push registration id or global id. An installation may leave it out: itself.',
      }),
    },
    resolve: async (_, args, context) => {
      const asked = args.id ?? ownInstallationId(context.caller);
      const id = asked === null ? null : toLocalId(asked, 'Installation');
      const installation = id === null ? null : await context.loaders.load(installationById, id);
      return visible(context, installation, ({ userId }) => userId);
    },
  }),
);

/** The installation that calls, or null when it is not one. */
export function ownInstallationId(caller: Caller | null): string | null {
  return caller?.kind === 'INSTALLATION' ? caller.installationId : null;
}

const WebPushInput = builder.inputType('WebPushAddressInput', {
  description: 'A push subscription of a browser (W3C Push API, RFC 8030), as `PushSubscription.toJSON()` gives it.',
  fields: (t) => ({
    endpoint: t.string({ required: true, description: 'https URL at the push service.' }),
    p256dh: t.string({ required: true, description: "The subscription's public key: P-256, uncompressed, base64url." }),
    auth: t.string({ required: true, description: "The subscription's authentication secret: 16 bytes, base64url." }),
  }),
});

const PushTokenInput = builder.inputType('PushTokenInput', {
  description: "A token that a platform's push service gave to the app.",
  fields: (t) => ({
    token: t.string({ required: true, description: 'Registration token (FCM) or device token (APNs).' }),
  }),
});

const InstallationAddressInput = builder.inputType('InstallationAddressInput', {
  isOneOf: true,
  description: 'Where pushes to an installation go: exactly one of these. Kept encrypted.',
  fields: (t) => ({
    webPush: t.field({ type: WebPushInput, description: 'A browser.' }),
    fcm: t.field({ type: PushTokenInput, description: 'Firebase Cloud Messaging.' }),
    apns: t.field({ type: PushTokenInput, description: 'Apple Push Notification service; iOS only.' }),
  }),
});

builder.relayMutationField(
  'registerInstallation',
  {
    description: 'What an app tells when it is launched. Absent fields keep what an earlier registration said.',
    inputFields: (t) => ({
      pushRegistrationId: t.id({
        description:
          'A UUID that the app made at its first launch, or got from here. A known one is only taken up again with its own token (also an expired one) or a server key; otherwise a new installation comes out.',
      }),
      platform: t.field({ type: PlatformEnum, required: true, description: 'What it runs on.' }),
      address: t.field({
        type: InstallationAddressInput,
        description: 'Where pushes go. One that another installation holds moves here, and that one is SUSPENDED.',
      }),
      pushStatus: t.field({ type: PushStatusEnum, description: 'Default: ALLOWED with an address, ASK without one.' }),
      language: t.string({ description: 'BCP 47 language tag.' }),
      timeZone: t.string({ description: 'IANA time zone.' }),
      appVersion: t.string({ description: "The app's version." }),
      osVersion: t.string({ description: "The operating system's or browser's version." }),
      deviceModel: t.string({ description: "The device's model." }),
    }),
  },
  {
    description:
      'Registers an installation with an empty lead as its user, or renews one. Answers a token that speaks for it.',
    authScopes: { write: true, app: true, formerInstallation: true },
    errors: refusedWith('VALUE_INVALID'),
    resolve: async (_, { input }, context) => {
      const { caller, arePrivateEndpointsAllowed, loaders, registeredInstallationIds } = context;
      if (!caller) throw refuseCaller(caller);
      const pushRegistrationId =
        input.pushRegistrationId && (toLocalId(input.pushRegistrationId, 'Installation') ?? input.pushRegistrationId);
      const registered = await registerInstallation(context, caller, {
        ...input,
        pushRegistrationId,
        arePrivateEndpointsAllowed,
      });
      loaders.renew();
      const installation = await getInstallation(loaders.load(installationById, registered.installationId));
      registeredInstallationIds.add(installation.id);
      return { ...registered, installation };
    },
  },
  {
    description: 'The installation, and what it needs to speak for itself.',
    outputFields: (t) => ({
      installation: t.expose('installation', { type: InstallationObject, description: 'As it is registered now.' }),
      token: t.exposeString('token', { description: 'Bearer token of this installation. Shown only now.' }),
      expiresAt: t.expose('expiresAt', {
        type: 'DateTime',
        description:
          'When the token stops working at the latest: 30 days from now. Of one installation the newest five work, and the one in use.',
      }),
    }),
  },
);

builder.relayMutationField(
  'refreshInstallationToken',
  {
    description: 'Whose token is renewed.',
    inputFields: (t) => ({
      installation: t.id({
        description: 'Push registration id or global id. Default, and only allowed: the calling installation.',
      }),
    }),
  },
  {
    description:
      'Answers a new token for the installation that calls. The present one goes on working until it expires; an expired one registers again. Every call makes a token: no idempotency key is taken, as secrets are kept nowhere.',
    authScopes: { installation: true },
    errors: refusedWith('NO_REGISTRATION'),
    resolve: async (_, { input: { installation } }, context) => {
      const { caller } = context;
      if (caller?.kind !== 'INSTALLATION') throw refuseCaller(caller);
      const isOther = installation && toLocalId(installation, 'Installation') !== caller.installationId;
      if (isOther) throw noRegistration();
      return refreshInstallationToken(context, caller);
    },
  },
  {
    description: 'What the installation needs to speak for itself.',
    outputFields: (t) => ({
      token: t.exposeString('token', { description: 'Bearer token of this installation. Shown only now.' }),
      expiresAt: t.expose('expiresAt', {
        type: 'DateTime',
        description:
          'When the token stops working at the latest: 30 days from now. Of one installation the newest five work, and the one in use.',
      }),
    }),
  },
);

/** The installation that a verb has just written. */
export async function getInstallation(found: Promise<Installation | null>): Promise<Installation> {
  const installation = await found;
  if (!installation) throw new Error('The installation that was written is not there.');
  return installation;
}
