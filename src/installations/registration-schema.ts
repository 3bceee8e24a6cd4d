import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { toLocalId } from '../graphql/global-id.ts';
import { refuseCaller } from '../graphql/refuse-caller.ts';
import { noRegistration, refreshInstallationToken } from './refresh-installation-token.ts';
import { registerInstallation } from './register-installation.ts';
import {
  getInstallation,
  InstallationAddressInput,
  InstallationObject,
  installationById,
  PlatformEnum,
  PushStatusEnum,
} from './schema.ts';

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
      customAttributes: t.field({
        type: 'JSONObject',
        description:
          'What `defineAttribute` allows for installations, by name, at most 500 at once. A name that is absent keeps its value; null removes it. In a variable, not in the document.',
      }),
    }),
  },
  {
    description:
      'Registers an installation with an empty lead as its user, or renews one. Answers a token that speaks for it.',
    authScopes: { write: true, app: true, formerInstallation: true },
    errors: refusedWith('VALUE_INVALID', 'ATTRIBUTE_INVALID', 'LIMIT_EXCEEDED'),
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
      const isOther =
        typeof installation === 'string' && toLocalId(installation, 'Installation') !== caller.installationId;
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
