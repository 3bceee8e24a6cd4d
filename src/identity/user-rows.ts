import { isDeepStrictEqual } from 'node:util';
import type { User } from '../generated/prisma/client.ts';
import { newId } from '../ids.ts';
import { arrayLiteral } from '../storage/array-literal.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import { blankAttributes } from '../users/user-attributes.ts';

/** A user of whom nothing is known, and who is yet to be written. */
export function newUser(type: User['type']): User {
  return {
    id: newId(),
    type,
    mergedIntoId: null,
    ...blankAttributes,
    tags: [],
    customAttributes: {},
    isPushReachable: false,
    createdAt: new Date(),
  };
}

/** Users as rows that a statement reads. Arrays of columns: PostgreSQL takes longer to read objects of JSON. */
function toRows(users: readonly User[]): Sql {
  const column = (toText: (user: User) => string | null) => arrayLiteral(users.map(toText));
  return sql`(
    select
      id, type, display_name, first_name, middle_name, last_name, gender, birthday, preferred_language, preferred_channel,
      time_zone, country, region, picture_url, tags::text[] as tags, custom_attributes
    from unnest(
      ${column(({ id }) => id)}::uuid[],
      ${column(({ type }) => type)}::user_type[],
      ${column(({ displayName }) => displayName)}::text[],
      ${column(({ firstName }) => firstName)}::text[],
      ${column(({ middleName }) => middleName)}::text[],
      ${column(({ lastName }) => lastName)}::text[],
      ${column(({ gender }) => gender)}::gender[],
      ${column(({ birthday }) => birthday?.toISOString().slice(0, 10) ?? null)}::date[],
      ${column(({ preferredLanguage }) => preferredLanguage)}::text[],
      ${column(({ preferredChannel }) => preferredChannel)}::channel[],
      ${column(({ timeZone }) => timeZone)}::text[],
      ${column(({ country }) => country)}::text[],
      ${column(({ region }) => region)}::text[],
      ${column(({ pictureUrl }) => pictureUrl)}::text[],
      ${column(({ tags }) => arrayLiteral(tags))}::text[],
      ${column(({ customAttributes }) => JSON.stringify(customAttributes))}::jsonb[]
    ) as given (
      id, type, display_name, first_name, middle_name, last_name, gender, birthday, preferred_language, preferred_channel,
      time_zone, country, region, picture_url, tags, custom_attributes
    )
  )`;
}

/** Adds users, each with the in-app inbox that every user has. */
export async function insertUsers(tx: Transaction, users: readonly User[]): Promise<void> {
  if (users.length === 0) return;
  await tx.$executeRaw(sql`
    with made as (
      insert into users (
        id, type, display_name, first_name, middle_name, last_name, gender, birthday, preferred_language,
        preferred_channel, time_zone, country, region, picture_url, tags, custom_attributes
      )
      select * from ${toRows(users)} given
    )
    insert into recipients (id, channel, user_id)
    select id, 'IN_APP', user_id
    from unnest(
      ${arrayLiteral(users.map(() => newId()))}::uuid[], ${arrayLiteral(users.map(({ id }) => id))}::uuid[]
    ) as given (id, user_id)
  `);
}

/** Writes the type and all attributes of users, who are locked. */
export async function updateUsers(tx: Transaction, users: readonly User[]): Promise<void> {
  if (users.length === 0) return;
  await tx.$executeRaw(sql`
    update users u set
      type = given.type, display_name = given.display_name, first_name = given.first_name,
      middle_name = given.middle_name, last_name = given.last_name, gender = given.gender, birthday = given.birthday,
      preferred_language = given.preferred_language, preferred_channel = given.preferred_channel,
      time_zone = given.time_zone, country = given.country, region = given.region, picture_url = given.picture_url,
      tags = given.tags, custom_attributes = given.custom_attributes
    from ${toRows(users)} given
    where u.id = given.id
  `);
}

/** Writes one user, who is locked, where anything has changed. */
export async function updateUser(tx: Transaction, before: User, after: User): Promise<void> {
  if (!isDeepStrictEqual(before, after)) await updateUsers(tx, [after]);
}
