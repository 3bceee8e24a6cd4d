import { UserRegistration } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';

const UserRegistrationEnum = builder.enumType('UserRegistration', {
  description: 'Who may say who uses an installation of an app.',
  values: {
    [UserRegistration.SERVER_ONLY]: { description: "Only the app's back end, with a server key." },
    [UserRegistration.SIGNED]: { description: "Also a client, with a token that the app's back end has signed." },
    [UserRegistration.OPEN]: { description: 'Also a client, unverified.' },
  },
});

const AppObject = builder.prismaObject('App', {
  description: 'A mobile app or website. Installations belong to one.',
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
  }),
});

builder.queryField('app', (t) =>
  t.field({
    type: AppObject,
    authScopes: { readAll: true, app: true, installation: true },
    description: 'The app that calls. For a server key, the default app.',
    resolve: async (_, __, { caller, db }) =>
      caller && 'appId' in caller
        ? db.app.findUniqueOrThrow({ where: { id: caller.appId } })
        : db.app.findFirstOrThrow({ orderBy: { createdAt: 'asc' } }),
  }),
);
