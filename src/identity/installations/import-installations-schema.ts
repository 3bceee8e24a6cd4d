import { DomainError } from '../../errors.ts';
import { builder } from '../../graphql/builder.ts';
import { refusedWith } from '../../graphql/errors.ts';
import { toLocalId } from '../../graphql/global-id.ts';
import { principalOf } from '../../graphql/principal.ts';
import {
  InstallationAddressInput,
  InstallationObject,
  installationById,
  PlatformEnum,
  PushStatusEnum,
} from '../../installations/schema.ts';
import { toUserReferenceInput, UserRefInput } from '../../users/schema.ts';
import { type ImportResult, importInstallations, importsMax } from './import-installations.ts';

const ImportedInstallationInput = builder.inputType('ImportedInstallationInput', {
  description: 'A subscriber of another push service, and whose it is.',
  fields: (t) => ({
    user: t.field({ type: UserRefInput, required: true, description: 'Whose it is.' }),
    platform: t.field({ type: PlatformEnum, required: true, description: 'What it runs on.' }),
    address: t.field({ type: InstallationAddressInput, required: true, description: 'Where pushes go.' }),
    pushStatus: t.field({ type: PushStatusEnum, description: 'Default: ALLOWED.' }),
    subscribedAt: t.field({
      type: 'DateTime',
      description: 'When it subscribed there. Not in the future. Default: now.',
    }),
    app: t.id({ description: 'The app that it is of. Global id. Default: the oldest app.' }),
    language: t.string({ description: 'BCP 47 language tag.' }),
    timeZone: t.string({ description: 'IANA time zone.' }),
    appVersion: t.string({ description: "The app's version." }),
    osVersion: t.string({ description: "The operating system's or browser's version." }),
    deviceModel: t.string({ description: "The device's model." }),
  }),
});

const ImportedInstallation = builder
  .objectRef<Extract<ImportResult, { installationId: string }>>('ImportedInstallation')
  .implement({
    description: 'An address that is an installation of its user now.',
    authScopes: { write: true },
    isTypeOf: (value) => typeof value === 'object' && value !== null && 'installationId' in value,
    fields: (t) => ({
      installation: t.field({
        type: InstallationObject,
        nullable: true,
        description: 'As it is known now; null when it has been deleted since.',
        resolve: ({ installationId }, _, { loaders }) => loaders.load(installationById, installationId),
      }),
      isNew: t.exposeBoolean('isNew', { description: 'False: the user had an installation with this address.' }),
    }),
  });

const refusals = refusedWith('NOT_FOUND', 'VALUE_INVALID', 'EMAIL_INVALID', 'PHONE_INVALID', 'STATE_CONFLICT');

const ImportInstallationResult = builder.errorUnion('ImportInstallationResult', {
  description: 'What became of one: an installation, or why there is none.',
  types: [ImportedInstallation, ...refusals.types],
});

builder.relayMutationField(
  'importInstallations',
  {
    description: 'Subscribers of another push service.',
    inputFields: (t) => ({
      installations: t.field({
        type: [ImportedInstallationInput],
        required: true,
        description: 'At most 1,000. A user may be named several times.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Matches subscribers of another push service with users: each becomes an installation of the user that its reference names. A refused one keeps no other one back. An address that is known is neither doubled nor taken away from another user's installation, which is STATE_CONFLICT.",
    authScopes: { write: true },
    errors: refusedWith('LIMIT_EXCEEDED', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { installations, idempotencyKey } }, context) => {
      const done = await importInstallations(context, {
        principal: principalOf(context),
        idempotencyKey,
        arePrivateEndpointsAllowed: context.arePrivateEndpointsAllowed,
        installations: installations.map(({ user, app, ...rest }) => ({
          ...rest,
          user: toUserReferenceInput(user),
          app: app && (toLocalId(app, 'App') ?? app),
        })),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'What became of each.',
    outputFields: (t) => ({
      results: t.field({
        type: [ImportInstallationResult],
        extensions: { listSizeMax: importsMax },
        description: 'One for each of `installations`, in their order.',
        resolve: ({ results }) =>
          results.map((result) => {
            if ('installationId' in result) return result;
            const { code, message, inputPath } = result.refusal;
            return new DomainError(code, message, inputPath);
          }),
      }),
    }),
  },
);
