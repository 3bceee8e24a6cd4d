import { tellCustomAttributes } from '../attributes/schema.ts';
import { DomainError } from '../errors.ts';
import type { Identifier, User } from '../generated/prisma/client.ts';
import { Channel, Gender, UserType } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { localId, toLocalId } from '../graphql/global-id.ts';
import type { Loader } from '../graphql/loaders.ts';
import { mayReadUser, visible } from '../graphql/ownership.ts';
import { findUserId, type UserReferenceInput } from '../identity/user-reference.ts';
import { camelCaseKeys, sql } from '../storage/database.ts';

/** A user by id; a merged one's id answers its survivor. */
export const userById: Loader<string, User | null> = {
  async load(db, ids) {
    const rows = await db.$queryRaw<{ asked_id: string }[]>(sql`
      select asked.id as asked_id, survivor.*
      from users asked join users survivor on survivor.id = coalesce(asked.merged_into_id, asked.id)
      where asked.id = any(${ids}::uuid[])
    `);
    const users = new Map(rows.map((row) => [row.asked_id, camelCaseKeys<User>(row)]));
    return ids.map((id) => users.get(id) ?? null);
  },
};

/**
 * The user that a verb has written.
 *
 * @throws DomainError `NOT_FOUND` of one who was erased since: a repeat of the call tells of it still.
 */
export async function getUser(found: Promise<User | null>): Promise<User> {
  const user = await found;
  if (!user) throw new DomainError('NOT_FOUND', 'The user was erased since.');
  return user;
}

const identifiersOfUser: Loader<string, Identifier[]> = {
  async load(db, ids) {
    const rows = await db.identifier.findMany({ where: { userId: { in: [...ids] } } });
    const byUser = Map.groupBy(rows, ({ userId }) => userId);
    return ids.map((id) => byUser.get(id) ?? []);
  },
};

export const ChannelEnum = builder.enumType('Channel', {
  description: 'A way to reach a person.',
  values: {
    [Channel.PUSH]: { description: 'A push message to an installation: web push, FCM or APNs.' },
    [Channel.EMAIL]: { description: 'A message to an e-mail address.' },
    [Channel.SMS]: { description: 'A text message to a phone.' },
    [Channel.WHATSAPP]: {
      description: 'A WhatsApp message to the same phone as a text message: only where it is asked for by name.',
    },
    [Channel.IN_APP]: { description: "An entry in the user's inbox." },
  },
});

const GenderEnum = builder.enumType('Gender', {
  description: 'As a user gave it.',
  values: {
    [Gender.MALE]: { description: 'A man or a boy.' },
    [Gender.FEMALE]: { description: 'A woman or a girl.' },
    [Gender.OTHER]: { description: 'Anything else.' },
  },
});

export const UserTypeEnum = builder.enumType('UserType', {
  description: 'How much is known of a user.',
  values: {
    [UserType.LEAD]: { description: 'Not verified: made when an installation registered, or kept a lead on purpose.' },
    [UserType.CUSTOMER]: { description: 'Personalized with an identifier. Never becomes a lead again.' },
  },
});

/** How every input names a user. */
export const UserRefInput = builder.inputType('UserRef', {
  isOneOf: true,
  description: 'Names one user, in exactly one way. A merged user is its survivor.',
  fields: (t) => ({
    id: t.id({ description: 'Global id.' }),
    externalUserId: t.string({ description: "The id in the app's own back end, or an alias of it." }),
    email: t.string({ description: 'One of the e-mail addresses.' }),
    phone: t.string({ description: 'One of the phone numbers, E.164, with or without "+".' }),
    pushRegistrationId: t.string({
      description: "Push registration id or global id of one of the user's installations.",
    }),
  }),
});

/** A `UserRef` with local ids instead of global ones. */
export function toUserReferenceInput(ref: typeof UserRefInput.$inferInput): UserReferenceInput {
  if ('id' in ref && typeof ref.id === 'string') return { id: toLocalId(ref.id, 'User') ?? ref.id };
  if ('pushRegistrationId' in ref && typeof ref.pushRegistrationId === 'string') {
    return { pushRegistrationId: toLocalId(ref.pushRegistrationId, 'Installation') ?? ref.pushRegistrationId };
  }
  return ref;
}

export const UserAttributesInput = builder.inputType('UserAttributesInput', {
  description: 'Attributes of a user. An absent one stays as it is; null removes it.',
  fields: (t) => ({
    displayName: t.string({ description: 'What to call the user. At most 255 characters.' }),
    firstName: t.string({ description: 'At most 255 characters.' }),
    middleName: t.string({ description: 'At most 50 characters.' }),
    lastName: t.string({ description: 'At most 255 characters.' }),
    gender: t.field({ type: GenderEnum, description: 'As the user gave it.' }),
    birthday: t.field({ type: 'Date', description: 'Day of birth; not in the future.' }),
    preferredLanguage: t.string({ description: 'BCP 47 language tag, such as "pt-BR".' }),
    preferredChannel: t.field({ type: ChannelEnum, description: 'How the user would like to be reached.' }),
    timeZone: t.string({ description: 'IANA time zone, such as "Europe/Zagreb".' }),
    country: t.string({ description: 'ISO 3166-1 alpha-2 country code, such as "NL".' }),
    region: t.string({ description: 'Part of the country. At most 255 characters.' }),
    pictureUrl: t.string({ description: 'http or https URL of a picture.' }),
    tags: t.stringList({ description: 'The whole set of tags, 1 to 256 characters each; replaces the present one.' }),
    customAttributes: t.field({
      type: 'JSONObject',
      description:
        'What `defineAttribute` allows for users, by name, at most 500 at once. A name that is absent keeps its value; null removes it. In a variable, not in the document.',
    }),
  }),
});

export const UserObject = builder.prismaObject('User', {
  description: "One person's profile, across all apps.",
  authScopes: (user, context) => mayReadUser(context, user.id),
  fields: (t) => ({
    type: t.expose('type', { type: UserTypeEnum, description: 'Whether the user is verified.' }),
    externalUserId: t.string({
      nullable: true,
      description: "The id in the app's own back end. Once set it never changes.",
      resolve: async ({ id }, _, { loaders }) => {
        const identifiers = await loaders.load(identifiersOfUser, id);
        return identifiers.find(({ kind, isAlias }) => kind === 'EXTERNAL_USER_ID' && !isAlias)?.value ?? null;
      },
    }),
    externalUserIdAliases: t.stringList({
      authScopes: { readAll: true },
      description: 'External user ids that came with merges: they go on resolving to this user. For server keys.',
      resolve: async ({ id }, _, { loaders }) => {
        const identifiers = await loaders.load(identifiersOfUser, id);
        return identifiers.flatMap(({ kind, isAlias, value }) =>
          kind === 'EXTERNAL_USER_ID' && isAlias ? [value] : [],
        );
      },
    }),
    displayName: t.exposeString('displayName', { nullable: true, description: 'What to call the user.' }),
    firstName: t.exposeString('firstName', { nullable: true, description: 'Given name.' }),
    middleName: t.exposeString('middleName', {
      nullable: true,
      description: 'What stands between first and last name.',
    }),
    lastName: t.exposeString('lastName', { nullable: true, description: 'Family name.' }),
    gender: t.expose('gender', { type: GenderEnum, nullable: true, description: 'As the user gave it.' }),
    birthday: t.expose('birthday', { type: 'Date', nullable: true, description: 'Day of birth.' }),
    preferredLanguage: t.exposeString('preferredLanguage', { nullable: true, description: 'BCP 47 language tag.' }),
    preferredChannel: t.expose('preferredChannel', {
      type: ChannelEnum,
      nullable: true,
      description: 'How the user would like to be reached.',
    }),
    timeZone: t.exposeString('timeZone', { nullable: true, description: 'IANA time zone.' }),
    country: t.exposeString('country', { nullable: true, description: 'ISO 3166-1 alpha-2 country code.' }),
    region: t.exposeString('region', { nullable: true, description: 'Part of the country.' }),
    pictureUrl: t.exposeString('pictureUrl', { nullable: true, description: 'URL of a picture.' }),
    tags: t.exposeStringList('tags', { description: 'Tags, sorted.' }),
    customAttributes: t.field({
      type: 'JSONObject',
      description:
        'What is defined by `defineAttribute` and has a value, by name. A NUMBER that no double holds exactly, and an integer beyond 2^53, is told as a text.',
      resolve: ({ customAttributes }, _, { loaders }) => tellCustomAttributes(loaders, 'USER', customAttributes),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the profile was made.' }),
  }),
});

builder.nodeRef(UserObject, {
  id: { resolve: localId },
  loadWithoutCache: async (id, context) =>
    visible(context, await context.loaders.load(userById, id), (user) => user.id),
});

builder.queryFields((t) => ({
  user: t.field({
    type: UserObject,
    nullable: true,
    authScopes: { readSome: true },
    description: 'The user that a reference names; null when there is none, or none that this caller may see.',
    args: { ref: t.arg({ type: UserRefInput, required: true, description: 'Names the user.' }) },
    resolve: async (_, { ref }, context) => {
      const id = await findUserId(context.db, toUserReferenceInput(ref), ['ref']);
      const user = id === null ? null : await context.loaders.load(userById, id);
      return visible(context, user, ({ id: owner }) => owner);
    },
  }),
  users: t.connection({
    type: UserObject,
    authScopes: { readAll: true },
    description: 'All users, oldest first. Merged ones are left out.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`users u`, row: sql`u.*`, id: sql`u.id`, where: sql`u.merged_into_id is null` };
      return toConnection(page, await loadPage<User>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
}));
