import { DomainError } from '../errors.ts';
import type { MergeRecord } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { relatedConnection, relatedPages } from '../graphql/connection.ts';
import type { Context } from '../graphql/context.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { getInstallation, InstallationObject, installationById, ownInstallationId } from '../installations/schema.ts';
import { sql } from '../storage/database.ts';
import { toUserReferenceInput, UserAttributesInput, UserObject, UserRefInput, userById } from '../users/schema.ts';
import { depersonalize } from './depersonalize.ts';
import { mergeUsers } from './merge.ts';
import { personalize } from './personalize.ts';

const mergeRecordById: Loader<string, MergeRecord | null> = byId((db, ids) =>
  db.mergeRecord.findMany({ where: { id: { in: ids } } }),
);

const mergeRecordsOfUser = relatedPages<MergeRecord>({
  from: sql`merge_records m`,
  row: sql`m.*`,
  id: sql`m.id`,
  belongs: sql`m.survivor_id = parent.id`,
});

const MergeRecordObject = builder.prismaObject('MergeRecord', {
  description: 'That two users became one: by a merge, or because a lead was absorbed.',
  authScopes: { readAll: true },
  fields: (t) => ({
    survivor: t.field({
      type: UserObject,
      nullable: true,
      description: 'Who remained.',
      resolve: ({ survivorId }, _, { loaders }) => loaders.load(userById, survivorId),
    }),
    mutation: t.exposeString('reason', { description: 'The mutation that did it: `mergeUsers` or `personalize`.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the two became one.' }),
  }),
});

builder.nodeRef(MergeRecordObject, {
  id: { resolve: localId },
  loadOne: (id, context) => (mayReadAll(context) ? context.loaders.load(mergeRecordById, id) : null),
});

builder.prismaObjectField(UserObject, 'mergeRecords', (t) =>
  t.connection({
    type: MergeRecordObject,
    authScopes: { readAll: true },
    description: 'What was merged into this user, oldest first. For server keys.',
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(mergeRecordsOfUser, id, { args, loaders, info }),
  }),
);

const UserIdentityInput = builder.inputType('UserIdentityInput', {
  description: 'What a person is called. At least one of these.',
  fields: (t) => ({
    externalUserId: t.string({
      description:
        'The id in the app\'s own back end: at most 256 characters; any casing of "null" means absent. An e-mail address names that e-mail recipient too.',
    }),
    emails: t.stringList({ description: 'E-mail addresses (RFC 5322), at most 100.' }),
    phones: t.stringList({ description: 'Phone numbers (E.164, with or without "+"), at most 100.' }),
  }),
});

/** The installation that an input means: the one it names, else the caller itself. An installation may only name itself. */
function meantInstallation({ caller }: Context, given: string | null | undefined): string {
  const own = ownInstallationId(caller);
  const meant = given === null || given === undefined ? own : toLocalId(given, 'Installation');
  if (meant === null || (own !== null && meant !== own)) {
    throw new DomainError('NO_REGISTRATION', 'No such installation is registered.', ['installation']);
  }
  return meant;
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
      keepAsLead: t.boolean({ required: true, defaultValue: false, description: 'Do not make a customer of a lead.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Makes an installation the one of a person: of the user that has one of the identifiers, else of its own lead, which then is named so. Apps let only their back end do this.',
    authScopes: { write: true, installation: true },
    errors: refusedWith(
      'USER_DATA_RESTRICTED',
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
      // Rule U11: client credentials attach no installation to a user.
      if (context.caller?.kind !== 'SERVER') {
        throw new DomainError('USER_DATA_RESTRICTED', "Only the app's back end may say who uses an installation.", [
          'userIdentity',
        ]);
      }
      const { installation, ...rest } = input;
      const done = await personalize(context, {
        ...rest,
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
        resolve: async ({ userId }, _, { loaders }) => {
          const user = await loaders.load(userById, userId);
          if (!user) throw new Error('The user that was written is not there.');
          return user;
        },
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
        description: "Of the absorption of the installation's lead, if there was one.",
        resolve: ({ mergeRecordId }, _, { loaders }) =>
          mergeRecordId === null ? null : loaders.load(mergeRecordById, mergeRecordId),
      }),
      droppedIdentifiers: t.exposeStringList('droppedIdentifiers', {
        description: 'Identifiers that were left out because they name nobody, such as "undefined" or "0".',
      }),
    }),
  },
);

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
        installationId: meantInstallation(context, installation),
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
  'mergeUsers',
  {
    description: 'Which two users are one person.',
    inputFields: (t) => ({
      survivor: t.field({ type: UserRefInput, required: true, description: 'Who remains; whose values win.' }),
      merged: t.field({
        type: UserRefInput,
        required: true,
        description: 'Who is joined to it, and redirects to it from then on.',
      }),
      allowAlias: t.boolean({
        required: true,
        defaultValue: false,
        description: "With two different external user ids: keep the merged one's as an alias that goes on resolving.",
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Joins two users. The survivor's values win, blanks are filled; recipients, tags, installations and memberships are united; an opt-out always wins.",
    authScopes: { write: true },
    errors: refusedWith(
      'NOT_FOUND',
      'MERGE_CONFLICT',
      'IDENTIFIER_LIMIT_EXCEEDED',
      'EMAIL_INVALID',
      'PHONE_INVALID',
      'VALUE_INVALID',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input: { survivor, merged, ...rest } }, context) => {
      const done = await mergeUsers(context, {
        ...rest,
        principal: principalOf(context),
        survivor: toUserReferenceInput(survivor),
        merged: toUserReferenceInput(merged),
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The one user.',
    outputFields: (t) => ({
      user: t.field({
        type: UserObject,
        nullable: true,
        description: 'The survivor.',
        resolve: ({ userId }, _, { loaders }) => loaders.load(userById, userId),
      }),
      mergeRecord: t.field({
        type: MergeRecordObject,
        nullable: true,
        description: 'What was done.',
        resolve: ({ mergeRecordId }, _, { loaders }) => loaders.load(mergeRecordById, mergeRecordId),
      }),
    }),
  },
);
