import { DomainError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { Context } from '../graphql/context.ts';
import { refusedWith } from '../graphql/errors.ts';
import { principalOf } from '../graphql/principal.ts';
import { refuseCaller } from '../graphql/refuse-caller.ts';
import { mayReadAll, mayWrite } from '../graphql/rights.ts';
import { getInstallation, InstallationObject, installationById, meantInstallation } from '../installations/schema.ts';
import { getUser, UserAttributesInput, UserObject, userById } from '../users/schema.ts';
import { type AdmittedIdentity, admitIdentity } from './admit-identity.ts';
import { claimIdentity } from './claim-identity.ts';
import type { UserIdentity } from './identifier.ts';
import { MergeRecordObject, mergeRecordById } from './merge-record-schema.ts';
import { personalize } from './personalize.ts';

const UserIdentityInput = builder.inputType('UserIdentityInput', {
  description: 'What a person is called. At least one of these.',
  fields: (t) => ({
    externalUserId: t.string({
      description:
        'The id in the app\'s own back end: at most 256 characters; any casing of "null" means absent. An e-mail address names that e-mail recipient too.',
    }),
    emails: t.stringList({
      description:
        'E-mail addresses, at most 100: RFC 5322 without quotes, comments, literal domains and, before the "@", letters beyond ASCII; at most 255 characters. Kept in lower case, the domain in ASCII (IDNA).',
    }),
    phones: t.stringList({
      description: 'Phone numbers, at most 100: E.164, with or without "+", digits only. Kept with "+".',
    }),
  }),
});

/** Who the caller may say that it is. Whoever may write is believed; of clients the app's settings say what they may. */
async function admittedIdentity(
  context: Context,
  { userIdentity, userToken }: { userIdentity: UserIdentity; userToken: string | null | undefined },
): Promise<AdmittedIdentity> {
  const { caller } = context;
  if (!mayWrite(context)) {
    if (caller?.kind !== 'INSTALLATION') throw refuseCaller(caller);
    return admitIdentity(context, { appId: caller.appId, userIdentity, userToken });
  }
  if (typeof userToken !== 'string') return { userIdentity, isVerified: true };
  throw new DomainError('VALUE_INVALID', 'A user token is for clients.', ['userToken']);
}

builder.relayMutationField(
  'personalize',
  {
    description: 'Who uses an installation.',
    inputFields: (t) => ({
      installation: t.id({ description: 'Push registration id or global id. Default: the calling installation.' }),
      userIdentity: t.field({ type: UserIdentityInput, required: true, description: 'What the person is called.' }),
      userAttributes: t.field({
        type: UserAttributesInput,
        description: 'Written to the user that comes out, key by key.',
      }),
      forceDepersonalize: t.boolean({
        required: true,
        defaultValue: false,
        description: 'Take the installation away from the person it belongs to now, if that is another one.',
      }),
      keepAsLead: t.boolean({
        required: true,
        defaultValue: false,
        description: 'Do not make a customer of a lead. What a client claims unverified never does.',
      }),
      userToken: t.string({
        description:
          "For clients of apps whose `userRegistration` is SIGNED or OPEN: a JWT that the app's back end has signed with one of `userTokenKeys`, at most 8 KiB. `sub`: the external user id. `aud`: the app's id. `exp`, `iat`: required; at most an hour old (60 s of clock skew are forgiven). `emails`, `phones`: lists of further identifiers, optional. Who it names is who it is: `userIdentity` is `{}`, or says nothing else.",
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Makes an installation the one of a person: of the user that has one of the identifiers, else of its own lead, which then is named so. Whether a client may, its app says (`userRegistration`): by default only the back end. What a client claims under OPEN is unverified: it is kept with the user that the installation has, who stays a lead, is found by nobody by it, and is sent nothing at an address in it.',
    authScopes: { write: true, installation: true },
    errors: refusedWith(
      'USER_DATA_RESTRICTED',
      'TOKEN_INVALID',
      'USER_IDENTITY_INVALID',
      'EMAIL_INVALID',
      'PHONE_INVALID',
      'VALUE_INVALID',
      'ATTRIBUTE_INVALID',
      'LIMIT_EXCEEDED',
      'NO_REGISTRATION',
      'AMBIGUOUS_PERSONALIZE_CANDIDATES',
      'IDENTIFIER_IMMUTABLE',
      'IDENTIFIER_LIMIT_EXCEEDED',
      'PERSONALIZATION_IMPOSSIBLE',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input }, context) => {
      const { installation, userIdentity, userToken, ...rest } = input;
      const admitted = await admittedIdentity(context, { userIdentity, userToken });
      const verb = admitted.isVerified ? personalize : claimIdentity;
      const done = await verb(context, {
        ...rest,
        undeclaredAttributes: mayWrite(context) ? context.rules.undeclaredAttributes : 'REFUSE',
        userIdentity: admitted.userIdentity,
        principal: principalOf(context),
        installationId: meantInstallation(context, installation),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'Who it is now.',
    outputFields: (t) => ({
      user: t.field({
        type: UserObject,
        description: 'The person.',
        resolve: ({ userId }, _, { loaders }) => getUser(loaders.load(userById, userId)),
      }),
      installation: t.field({
        type: InstallationObject,
        description: 'As it belongs now.',
        resolve: ({ installationId }, _, { loaders }) =>
          getInstallation(loaders.load(installationById, installationId)),
      }),
      mergeRecord: t.field({
        type: MergeRecordObject,
        nullable: true,
        description: "Of the absorption of the installation's lead, if there was one. Clients are not told.",
        resolve: ({ mergeRecordId }, _, context) =>
          mergeRecordId === null || !mayReadAll(context) ? null : context.loaders.load(mergeRecordById, mergeRecordId),
      }),
      droppedIdentifiers: t.exposeStringList('droppedIdentifiers', {
        description: 'Identifiers that were left out because they name nobody, such as "undefined" or "0".',
      }),
    }),
  },
);
