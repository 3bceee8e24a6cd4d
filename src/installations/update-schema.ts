import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { principalOf } from '../graphql/principal.ts';
import {
  getInstallation,
  InstallationAddressInput,
  InstallationObject,
  installationById,
  meantInstallation,
  ownInstallationId,
  PushStatusEnum,
} from './schema.ts';
import { updateInstallation } from './update-installation.ts';

builder.relayMutationField(
  'updateInstallation',
  {
    description: 'What changed of an installation. Absent fields keep what is known.',
    inputFields: (t) => ({
      installation: t.id({ description: 'Push registration id or global id. Default: the calling installation.' }),
      address: t.field({
        type: InstallationAddressInput,
        description:
          'Where pushes go now. One that another installation holds moves here, and that one is SUSPENDED. Null: nowhere any more.',
      }),
      pushStatus: t.field({
        type: PushStatusEnum,
        description:
          'Default with a new address: ALLOWED, unless it is BLOCKED; without an address any more: ASK, if it was ALLOWED. ALLOWED without an address is not reachable until one comes.',
      }),
      isPushRegistrationEnabled: t.boolean({
        description: 'False: no push at all is sent to it from now on, broadcasts neither. Null as if absent.',
      }),
      language: t.string({ description: 'BCP 47 language tag. Null removes it.' }),
      timeZone: t.string({ description: 'IANA time zone. Null removes it.' }),
      appVersion: t.string({ description: "The app's version. Null removes it." }),
      osVersion: t.string({ description: "The operating system's or browser's version. Null removes it." }),
      deviceModel: t.string({ description: "The device's model. Null removes it." }),
      customAttributes: t.field({
        type: 'JSONObject',
        description:
          'What `defineAttribute` allows for installations, by name, at most 500 at once. A name that is absent keeps its value; null removes it. In a variable, not in the document.',
      }),
      softPromptDeclinedAt: t.field({
        type: 'DateTime',
        description: "When the person said no to the app's own question. Not in the future. Null: that counts no more.",
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description: 'Writes what changed of an installation: its own, or with a server key any.',
    authScopes: { write: true, installation: true },
    errors: refusedWith(
      'NO_REGISTRATION',
      'VALUE_INVALID',
      'ATTRIBUTE_INVALID',
      'LIMIT_EXCEEDED',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input: { installation, ...rest } }, context) => {
      const installationId = meantInstallation(context, installation);
      const done = await updateInstallation(context, {
        ...rest,
        principal: principalOf(context),
        installationId,
        isOwnWord: ownInstallationId(context.caller) === installationId,
        arePrivateEndpointsAllowed: context.arePrivateEndpointsAllowed,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The installation, with what changed.',
    outputFields: (t) => ({
      installation: t.field({
        type: InstallationObject,
        description: 'As it is known now.',
        resolve: ({ installationId }, _, { loaders }) =>
          getInstallation(loaders.load(installationById, installationId)),
      }),
    }),
  },
);
