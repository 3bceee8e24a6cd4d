import { builder } from '../../graphql/builder.ts';
import { refusedWith } from '../../graphql/errors.ts';
import { toLocalId } from '../../graphql/global-id.ts';
import { visible } from '../../graphql/ownership.ts';
import { principalOf } from '../../graphql/principal.ts';
import { noRegistration } from '../../installations/refresh-installation-token.ts';
import {
  getInstallation,
  InstallationObject,
  installationById,
  meantInstallation,
  ownInstallationId,
} from '../../installations/schema.ts';
import { depersonalize } from '../personalize/depersonalize.ts';
import { deleteInstallation } from './delete-installation.ts';
import { setPrimaryInstallation } from './set-primary-installation.ts';

/** An installation that an input names, whosever it is: the verb sees who may. */
function namedInstallation(given: string): string {
  const id = toLocalId(given, 'Installation');
  if (id === null) throw noRegistration();
  return id;
}

builder.relayMutationField(
  'depersonalize',
  {
    description: 'Which installation is logged out.',
    inputFields: (t) => ({
      installation: t.id({ description: 'Push registration id or global id. Default: the calling installation.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Takes an installation away from its person: from now on nothing that is targeted at the person reaches it, broadcasts still do. It gets a fresh, empty lead.',
    authScopes: { write: true, installation: true },
    errors: refusedWith('NO_REGISTRATION', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { installation, idempotencyKey } }, context) => {
      const done = await depersonalize(context, {
        principal: principalOf(context),
        mutation: 'depersonalize',
        installationId: meantInstallation(context, installation),
        actingInstallationId: ownInstallationId(context.caller),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The installation, with its new lead.',
    outputFields: (t) => ({
      installation: t.field({
        type: InstallationObject,
        description: 'As it belongs now.',
        resolve: ({ installationId }, _, { loaders }) =>
          getInstallation(loaders.load(installationById, installationId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'depersonalizeInstallation',
  {
    description: 'Which installation is logged out from afar.',
    inputFields: (t) => ({
      installation: t.id({ required: true, description: 'Push registration id or global id.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Remote logout: takes another installation of the same user away from its person, as `depersonalize` does. For an installation, that of another user is none; a server key may name any.',
    authScopes: { write: true, installation: true },
    errors: refusedWith('NO_REGISTRATION', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { installation, idempotencyKey } }, context) => {
      const done = await depersonalize(context, {
        principal: principalOf(context),
        mutation: 'depersonalizeInstallation',
        installationId: namedInstallation(installation),
        actingInstallationId: ownInstallationId(context.caller),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'What was logged out.',
    outputFields: (t) => ({
      installation: t.field({
        type: InstallationObject,
        nullable: true,
        description: "With its new lead. Null for another installation: it is not its user's any more to see.",
        resolve: async ({ installationId }, _, context) =>
          visible(context, await context.loaders.load(installationById, installationId), ({ userId }) => userId),
      }),
    }),
  },
);

builder.relayMutationField(
  'setPrimaryInstallation',
  {
    description: 'Which installation is the primary one, or is it no more.',
    inputFields: (t) => ({
      installation: t.id({ required: true, description: 'Push registration id or global id.' }),
      isPrimary: t.boolean({
        required: true,
        description: "True: it is its user's primary device in its app, and no other one is. False: it is not.",
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Says which installation of a user is the primary device in its app, to which a send can be limited. An installation says it of itself and of its user's others; that of another user is none. A server key may name any.",
    authScopes: { write: true, installation: true },
    errors: refusedWith('NO_REGISTRATION', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { installation, ...rest } }, context) => {
      const done = await setPrimaryInstallation(context, {
        ...rest,
        principal: principalOf(context),
        installationId: namedInstallation(installation),
        actingInstallationId: ownInstallationId(context.caller),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The installation that was named.',
    outputFields: (t) => ({
      installation: t.field({
        type: InstallationObject,
        description: 'As it is now.',
        resolve: ({ installationId }, _, { loaders }) =>
          getInstallation(loaders.load(installationById, installationId)),
      }),
    }),
  },
);

builder.relayMutationField(
  'deleteInstallation',
  {
    description: 'Which installation is forgotten.',
    inputFields: (t) => ({
      installation: t.id({ description: 'Push registration id or global id. Default: the calling installation.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Forgets an installation: its own, or with a server key any. Its tokens end with it, so an installation that repeats this call is nobody. Its user stays; what was queued for it ends as ADDRESS_GONE.',
    authScopes: { write: true, installation: true },
    errors: refusedWith('NO_REGISTRATION', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { installation, idempotencyKey } }, context) => {
      const done = await deleteInstallation(context, {
        principal: principalOf(context),
        installationId: meantInstallation(context, installation),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'What is no more.',
    outputFields: (t) => ({
      deletedInstallationId: t.globalID({
        description: 'Global id that the installation had.',
        resolve: ({ installationId }) => ({ id: installationId, type: 'Installation' }),
      }),
    }),
  },
);
