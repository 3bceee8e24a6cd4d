import type { Caller } from '../apps/caller.ts';
import { tellCustomAttributes } from '../attributes/schema.ts';
import { DomainError } from '../errors.ts';
import type { Installation } from '../generated/prisma/client.ts';
import { Platform, PushStatus } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { relatedConnection, relatedPages } from '../graphql/connection.ts';
import type { Context } from '../graphql/context.ts';
import { localId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { mayReadUser, visible } from '../graphql/ownership.ts';
import { sql } from '../storage/database.ts';
import { UserObject, userById } from '../users/schema.ts';
import { noRegistration } from './refresh-installation-token.ts';

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
    customAttributes: t.field({
      type: 'JSONObject',
      description:
        'What is defined by `defineAttribute` for installations and has a value, by name. A NUMBER that no double holds exactly, and an integer beyond 2^53, is told as a text.',
      resolve: ({ customAttributes }, _, { loaders }) =>
        tellCustomAttributes(loaders, 'INSTALLATION', customAttributes),
    }),
    subscribedAt: t.expose('subscribedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it first had an address for pushes, here or at the service it was imported from.',
    }),
    softPromptDeclinedAt: t.expose('softPromptDeclinedAt', {
      type: 'DateTime',
      nullable: true,
      description: "When its person last said no to the app's own question, before the system's is asked.",
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it registered first.' }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      description: 'When it registered last, or told by itself what changed.',
    }),
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

/** The installation that an input means: the one it names, else the caller itself. An installation may only name itself. */
export function meantInstallation({ caller }: Pick<Context, 'caller'>, given: string | null | undefined): string {
  const own = ownInstallationId(caller);
  const meant = given === null || given === undefined ? own : toLocalId(given, 'Installation');
  if (meant === null || (own !== null && meant !== own)) throw noRegistration();
  return meant;
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

export const InstallationAddressInput = builder.inputType('InstallationAddressInput', {
  isOneOf: true,
  description: 'Where pushes to an installation go: exactly one of these. Kept encrypted.',
  fields: (t) => ({
    webPush: t.field({ type: WebPushInput, description: 'A browser.' }),
    fcm: t.field({ type: PushTokenInput, description: 'Firebase Cloud Messaging.' }),
    apns: t.field({ type: PushTokenInput, description: 'Apple Push Notification service; iOS only.' }),
  }),
});

/**
 * The installation that a verb has written.
 *
 * @throws DomainError `NOT_FOUND` of one that was deleted since: a repeat of the call tells of it still.
 */
export async function getInstallation(found: Promise<Installation | null>): Promise<Installation> {
  const installation = await found;
  if (!installation) throw new DomainError('NOT_FOUND', 'The installation was deleted since.');
  return installation;
}
