import { isDeepStrictEqual } from 'node:util';
import type { User } from '../generated/prisma/client.ts';
import { newId } from '../ids.ts';
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
    createdAt: new Date(),
  };
}

/** Selects users' columns. One user alone is told by values, which is half the work of JSON. */
function selectRows(users: readonly User[]): Sql {
  const rows = users.map(toRow);
  const [row] = rows;
  if (!row || rows.length > 1) {
    return sql`
      select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (
        id uuid, type user_type, display_name text, first_name text, middle_name text, last_name text, gender gender,
        birthday date, preferred_language text, preferred_channel channel, time_zone text, country text, region text,
        picture_url text, tags text[], custom_attributes jsonb
      )
    `;
  }
  return sql`
    select
      ${row.id}::uuid as id, ${row.type}::user_type as type, ${row.display_name}::text as display_name,
      ${row.first_name}::text as first_name, ${row.middle_name}::text as middle_name, ${row.last_name}::text as last_name,
      ${row.gender}::gender as gender, ${row.birthday}::date as birthday,
      ${row.preferred_language}::text as preferred_language, ${row.preferred_channel}::channel as preferred_channel,
      ${row.time_zone}::text as time_zone, ${row.country}::text as country, ${row.region}::text as region,
      ${row.picture_url}::text as picture_url, ${row.tags}::text[] as tags,
      ${JSON.stringify(row.custom_attributes)}::jsonb as custom_attributes
  `;
}

function toRow(user: User) {
  return {
    id: user.id,
    type: user.type,
    display_name: user.displayName,
    first_name: user.firstName,
    middle_name: user.middleName,
    last_name: user.lastName,
    gender: user.gender,
    birthday: user.birthday?.toISOString().slice(0, 10) ?? null,
    preferred_language: user.preferredLanguage,
    preferred_channel: user.preferredChannel,
    time_zone: user.timeZone,
    country: user.country,
    region: user.region,
    picture_url: user.pictureUrl,
    tags: user.tags,
    custom_attributes: user.customAttributes,
  };
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
      ${selectRows(users)}
      returning id
    )
    insert into recipients (id, channel, user_id) select uuid_v7(), 'IN_APP', id from made
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
    from (${selectRows(users)}) given
    where u.id = given.id
  `);
}

/** Writes one user, who is locked, where anything has changed. */
export async function updateUser(tx: Transaction, before: User, after: User): Promise<void> {
  if (!isDeepStrictEqual(before, after)) await updateUsers(tx, [after]);
}
