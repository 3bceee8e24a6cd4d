import type { User } from '../generated/prisma/client.ts';
import { camelCaseKeys, type Sql, sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import type { Identifier } from './identifier.ts';
import { holdersAndClaimants } from './identifier-claims.ts';
import { type NamedUser, type NameRow, nameUsers, selectNames } from './user-identity-store.ts';

/** Whom a verb is about. */
export interface Concern {
  userIds?: readonly string[];
  /** Whose user is concerned. */
  installationId?: string | null;
  /** Who is called so, or claimed to be, is concerned. */
  identifiers: readonly Identifier[];
}

/** Everybody who is concerned. */
export interface Concerned {
  users: Map<string, NamedUser>;
  /** Whose the installation is; null: there is no such installation. */
  ownerId: string | null;
  /** How many installations all of these users have together. */
  installationsCount: number;
}

/**
 * Locks the users who are concerned, the installation, and the installations that these users may lose to somebody who is
 * verified to be called as they claim. Users first, then installations, both in id order: every verb takes its locks so.
 *
 * @throws StaleReadError when somebody else has come to be concerned while the locks were waited for.
 */
export async function lockConcerned(
  tx: Transaction,
  { userIds = [], installationId = null, identifiers }: Concern,
): Promise<Concerned> {
  const rows = await tx.$queryRaw<object[]>(sql`
    select * from users
    where id in (
      select unnest(${[...userIds]}::uuid[])
      union all
      select user_id from installations where id = ${installationId}::uuid
      union all
      ${holdersAndClaimants(identifiers)}
    )
    order by id for no key update
  `);
  if (rows.length === 0) return { users: new Map(), ownerId: null, installationsCount: 0 };
  const users = rows.map((row) => camelCaseKeys<User>(row));
  const ids = users.map(({ id }) => id);
  // A statement of its own: this one sees what was committed while the locks of users were waited for.
  const [facts] = await tx.$queryRaw<Facts[]>(sql`
    with held as (
      select id, user_id from installations
      where id in (select ${installationId}::uuid union all ${installationsOfClaimants(ids)})
      order by id for no key update
    )
    select
      (array_agg(user_id) filter (where id = ${installationId}::uuid))[1] as owner_id,
      (select count(*)::int from installations where user_id = any(${ids}::uuid[])) as installations_count,
      (select coalesce(json_agg(name), '[]') from (${selectNames(ids)}) name) as names,
      exists (
        select from (${holdersAndClaimants(identifiers)}) called where user_id <> all(${ids}::uuid[])
      ) as has_stranger
    from held
  `);
  if (!facts || facts.has_stranger) throw new StaleReadError();
  return {
    users: nameUsers(users, facts.names),
    ownerId: facts.owner_id,
    installationsCount: facts.installations_count,
  };
}

interface Facts {
  owner_id: string | null;
  installations_count: number;
  names: NameRow[];
  has_stranger: boolean;
}

/** Selects the installations of nameless users, who are locked, of whom something is claimed. */
function installationsOfClaimants(userIds: readonly string[]): Sql {
  return sql`
    select i.id from identifier_claims c join installations i using (user_id)
    where c.user_id = any(${[...userIds]}::uuid[])
      and not exists (select from identifiers n where n.user_id = c.user_id)
  `;
}
