import { type Sql, sql, type Transaction } from '../../storage/database.ts';
import { StaleReadError } from '../../storage/transaction.ts';

/**
 * Where others' rows name a user by an identifier: targets of notifications, and merges through which an identifier went
 * before it was this user's.
 */
interface Mentions {
  userId: string;
  /** Ids of the user and its tombstones. */
  family: readonly string[];
  /** Notifications that {@link lockMentions} has locked. */
  notificationIds: readonly string[];
}

/** As what a notification's target names a user by each identifier. */
const referencesOf = (userId: string) => sql`
  select jsonb_build_object('by', 'identifier', 'kind', kind, 'value', value) as reference
  from identifiers where user_id = ${userId}::uuid
`;

/** As what it names a user and its tombstones by ids, which may stay. */
const idReferencesOf = (userId: string) => sql`
  select jsonb_build_object('by', 'id', 'id', id) as reference
  from users where id = ${userId}::uuid or merged_into_id = ${userId}::uuid
  union all
  select jsonb_build_object('by', 'pushRegistrationId', 'id', id) from installations where user_id = ${userId}::uuid
`;

/** Notifications that name a user by an identifier, or tell what the one user that they name has done. */
const mentioning = (userId: string) => sql`
  select distinct n.id
  from (${referencesOf(userId)}) known
  join notifications n on n.target -> 'users' @> jsonb_build_array(known.reference)
  union
  select n.id
  from (${idReferencesOf(userId)}) known
  join notifications n on n.target -> 'users' @> jsonb_build_array(known.reference)
  where n.event is not null and jsonb_array_length(n.target -> 'users') = 1
`;

/** A list of identifiers without those that the query calls `known`. */
const withoutKnown = (identifiers: Sql) => sql`(
  select coalesce(jsonb_agg(identifier), '[]') from jsonb_array_elements(${identifiers}) identifier
  where not exists (select from known where kind = identifier ->> 'kind' and value = identifier ->> 'value')
)`;

/** Locks the notifications in which something of a user stands. @returns their ids. */
export async function lockMentions(tx: Transaction, userId: string): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from notifications where id in (${mentioning(userId)}) order by id for no key update
  `);
  return rows.map(({ id }) => id);
}

/**
 * Lets others' rows name a user who is about to be erased by its id only. What a notification tells that nobody else has done
 * goes.
 *
 * @throws StaleReadError when the user has got another name, or a notification to it was accepted, since the mentions were locked.
 */
export async function withdrawMentions(tx: Transaction, { userId, family, notificationIds }: Mentions): Promise<void> {
  const rows = await tx.$queryRaw<{ id: string }[]>(mentioning(userId));
  if (rows.some(({ id }) => !notificationIds.includes(id))) throw new StaleReadError();
  await tx.$executeRaw(sql`
    update notifications n set target = jsonb_set(n.target, '{users}', (
      select jsonb_agg(
        case when mentioned.reference in (${referencesOf(userId)})
          then jsonb_build_object('by', 'id', 'id', ${userId}::text) else mentioned.reference end
        order by mentioned.place
      )
      from jsonb_array_elements(n.target -> 'users') with ordinality as mentioned (reference, place)
    )),
    event = case when jsonb_array_length(n.target -> 'users') > 1 then n.event end
    where n.id = any(${[...notificationIds]}::uuid[])
  `);
  await tx.$executeRaw(sql`
    with known as (select kind::text, value from identifiers where user_id = ${userId}::uuid),
    mentioning as (
      select distinct m.id
      from known
      join merge_records m on m.moved -> 'identifiers' <> '[]'
        and m.moved -> 'identifiers' @> jsonb_build_array(jsonb_build_object('kind', kind, 'value', value))
      where m.survivor_id <> all(${[...family]}::uuid[]) and m.merged_id <> all(${[...family]}::uuid[])
    )
    update merge_records m set
      moved = jsonb_set(
        jsonb_set(m.moved, '{identifiers}', ${withoutKnown(sql`m.moved -> 'identifiers'`)}),
        '{endedClaims}', ${withoutKnown(sql`m.moved -> 'endedClaims'`)}, false
      ),
      left_behind = case when m.left_behind is not null then (
        select coalesce(jsonb_agg(thing), '[]') from jsonb_array_elements(m.left_behind) thing
        where thing ->> 'kind' not in ('IDENTIFIER', 'CLAIM') or thing ->> 'name' not in (select value from known)
      ) end
    from mentioning
    where m.id = mentioning.id
  `);
}
