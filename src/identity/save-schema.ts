import { DomainError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { Context } from '../graphql/context.ts';
import { refusedWith } from '../graphql/errors.ts';
import { principalOf } from '../graphql/principal.ts';
import { refuseCaller } from '../graphql/refuse-caller.ts';
import { mayWrite } from '../graphql/rights.ts';
import { ownInstallationId } from '../installations/schema.ts';
import {
  getUser,
  toUserReferenceInput,
  UserAttributesInput,
  UserObject,
  UserRefInput,
  userById,
} from '../users/schema.ts';
import type { SavedUser } from './decide-save.ts';
import type { SaveMode, UserSave } from './parse-save.ts';
import { savedUsersMax, saveUser, saveUsers } from './save-users.ts';
import { taggedUsersMax, tagUsers, untagUsers } from './tag-users.ts';

const SaveModeEnum = builder.enumType('SaveMode', {
  description: 'What becomes of attributes that a save does not name.',
  values: {
    MERGE: { description: 'They stay as they are.' },
    OVERRIDE: {
      description:
        'Standard and custom attributes are removed: what is given is the whole profile. Tags, identifiers, addresses and opt-outs stay.',
    },
  } satisfies Record<SaveMode, object>,
});

const SaveUserInput = builder.inputType('SaveUserInput', {
  description: 'What is written to one user. An absent field stays as it is.',
  fields: (t) => ({
    user: t.field({ type: UserRefInput, required: true, description: 'Whom to write to.' }),
    create: t.boolean({
      required: true,
      defaultValue: false,
      description:
        'Make a customer of that identifier, if `user` is an external user id, an e-mail address or a phone that nobody has.',
    }),
    externalUserId: t.string({
      description:
        'The id in the app\'s own back end; set once, and never changed or removed. An e-mail address is added as one, too. "null" in any casing means null.',
    }),
    emails: t.stringList({
      description:
        'E-mail addresses that are added to those that there are; null removes all, but never what a user is called by alone.',
    }),
    phones: t.stringList({
      description:
        'Phone numbers (E.164) that are added to those that there are; null removes all, but never what a user is called by alone.',
    }),
    userAttributes: t.field({ type: UserAttributesInput, description: 'Written key by key; null removes a value.' }),
    mode: t.field({
      type: SaveModeEnum,
      required: true,
      defaultValue: 'MERGE',
      description: 'What becomes of attributes that are not named here.',
    }),
    idempotencyKey: t.string({
      description:
        'Makes a repeat of this call harmless for 24 hours. Not inside of `saveUsers`, which has one for all.',
    }),
  }),
});

const SaveUserPayload = builder.objectRef<SavedUser>('SaveUserPayload').implement({
  description: 'Who was written.',
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'userId' in value,
  fields: (t) => ({
    user: t.field({
      type: UserObject,
      description: 'As the profile is now.',
      resolve: ({ userId }, _, { loaders }) => getUser(loaders.load(userById, userId)),
    }),
    created: t.exposeBoolean('created', { description: 'Whether there was no such user before.' }),
  }),
});

const refusals = refusedWith(
  'NOT_FOUND',
  'USER_DATA_RESTRICTED',
  'USER_MERGE_INTERRUPTED',
  'IDENTIFIER_IMMUTABLE',
  'IDENTIFIER_BLOCKED',
  'IDENTIFIER_LIMIT_EXCEEDED',
  'EMAIL_INVALID',
  'PHONE_INVALID',
  'VALUE_INVALID',
  'ATTRIBUTE_INVALID',
  'LIMIT_EXCEEDED',
  'STATE_CONFLICT',
  'IDEMPOTENCY_KEY_REUSED',
);

const SaveUserResult = builder.errorUnion('SaveUserResult', {
  description: 'The payload, or why nothing was done.',
  types: [SaveUserPayload, ...refusals.types],
});

/**
 * What a client may write of its own user (rule U11): attributes, and under SERVER_ONLY no tags. Who it is, it says by
 * `personalize` alone.
 */
async function refuseClientsIdentifiers({ db, caller }: Context, save: UserSave): Promise<void> {
  if (caller?.kind !== 'INSTALLATION') throw refuseCaller(caller);
  const restricted = (path: string[]) =>
    new DomainError('USER_DATA_RESTRICTED', "Only the app's back end may write this.", path);
  for (const field of ['externalUserId', 'emails', 'phones', 'create'] as const) {
    if (save[field] !== undefined && save[field] !== false) throw restricted([field]);
  }
  if (save.userAttributes?.tags === undefined) return;
  const { userRegistration } = await db.app.findUniqueOrThrow({ where: { id: caller.appId } });
  if (userRegistration === 'SERVER_ONLY') throw restricted(['userAttributes', 'tags']);
}

builder.mutationField('saveUser', (t) =>
  t.field({
    type: SaveUserResult,
    description:
      "Writes to one user: attributes, and, with a server key, tags and identifiers. Never merges: an identifier of another user is `USER_MERGE_INTERRUPTED`. An installation may write its own user's attributes (tags too, unless its app is SERVER_ONLY).",
    authScopes: { write: true, installation: true },
    args: { input: t.arg({ type: SaveUserInput, required: true, description: 'What is to be done.' }) },
    resolve: async (_, { input: { idempotencyKey, ...input } }, context) => {
      const save = { ...input, user: toUserReferenceInput(input.user) };
      if (!mayWrite(context)) await refuseClientsIdentifiers(context, save);
      const installationId = mayWrite(context) ? null : ownInstallationId(context.caller);
      const done = await saveUser(context, {
        ...save,
        principal: principalOf(context),
        installationId,
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  }),
);

builder.relayMutationField(
  'saveUsers',
  {
    description: 'Many saves.',
    inputFields: (t) => ({
      users: t.field({ type: [SaveUserInput], required: true, description: 'At most 1,000, done in this order.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Writes to many users, each as `saveUser` does. What is refused is told in its place and keeps nothing else back.',
    authScopes: { write: true },
    errors: refusedWith('LIMIT_EXCEEDED', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { users, idempotencyKey } }, context) => {
      const keyed = users.findIndex((save) => typeof save.idempotencyKey === 'string');
      if (keyed >= 0) {
        const path = ['users', String(keyed), 'idempotencyKey'];
        throw new DomainError('VALUE_INVALID', 'Give one idempotency key for all.', path);
      }
      const saves = users.map((save) => ({ ...save, user: toUserReferenceInput(save.user) }));
      const results = await saveUsers(context, { users: saves, principal: principalOf(context), idempotencyKey });
      context.loaders.renew();
      return { results };
    },
  },
  {
    description: 'What became of each.',
    outputFields: (t) => ({
      results: t.field({
        type: [SaveUserResult],
        description: 'Parallel to `users`: the payload, or why nothing was done for it.',
        extensions: { listSizeMax: savedUsersMax },
        resolve: ({ results }, _, { loaders }) =>
          Promise.all(
            results.map(async (result, index) => {
              if ('code' in result) return new DomainError(result.code, result.message, result.path);
              // A repeat may tell of a user who was erased since.
              const user = await loaders.load(userById, result.userId);
              return user
                ? result
                : new DomainError('NOT_FOUND', 'There is no such user.', ['users', String(index), 'user']);
            }),
          ),
      }),
    }),
  },
);

for (const { name, verb, description } of [
  { name: 'tagUsers', verb: tagUsers, description: 'Adds tags to users. One that a user has already is left alone.' },
  {
    name: 'untagUsers',
    verb: untagUsers,
    description: 'Takes tags away from users. One that a user has not is left alone.',
  },
]) {
  builder.relayMutationField(
    name,
    {
      description: 'Which users, and which tags.',
      inputFields: (t) => ({
        users: t.field({
          type: [UserRefInput],
          required: true,
          description: `At most ${taggedUsersMax.toLocaleString('en')}.`,
        }),
        tags: t.stringList({ required: true, description: 'Of 1 to 256 characters each.' }),
        idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
      }),
    },
    {
      description,
      authScopes: { write: true },
      errors: refusedWith(
        'LIMIT_EXCEEDED',
        'ATTRIBUTE_INVALID',
        'EMAIL_INVALID',
        'PHONE_INVALID',
        'VALUE_INVALID',
        'IDEMPOTENCY_KEY_REUSED',
      ),
      resolve: async (_, { input }, context) => {
        const users = input.users.map(toUserReferenceInput);
        const done = await verb(context, { ...input, users, principal: principalOf(context) });
        context.loaders.renew();
        return done;
      },
    },
    {
      description: 'What changed.',
      outputFields: (t) => ({
        changedCount: t.exposeInt('changedCount', { description: 'How many users have other tags now.' }),
        unknown: t.exposeIntList('unknown', { description: 'Places in `users` of references that name nobody.' }),
      }),
    },
  );
}
