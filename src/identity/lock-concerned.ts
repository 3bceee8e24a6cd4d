import type { User } from '../generated/prisma/client.ts';
import type { IdentifierKind } from '../generated/prisma/enums.ts';
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
    where id = any(array(
      select unnest(${[...userIds]}::uuid[])
      ${installationId === null ? sql`` : sql`union all select user_id from installations where id = ${installationId}::uuid`}
      ${identifiers.length === 0 ? sql`` : sql`union all ${holdersAndClaimants(identifiers)}`}
    ))
    order by id for no key update
  `);
  if (rows.length === 0) return { users: new Map(), ownerId: null, installationsCount: 0 };
  const users = rows.map((row) => camelCaseKeys<User>(row));
  const ids = users.map(({ id }) => id);
  // A statement of its own: this one sees what was committed while the locks of users were waited for.
  const facts = await tx.$queryRaw<FactRow[]>(sql`
    with held as (
      select id, user_id from installations
      where id = any(array(select ${installationId}::uuid union all ${installationsOfClaimants(ids)}))
      order by id for no key update
    )
    select
      user_id, kind, value, is_alias, is_claim, null::uuid as installation_id, null::int as installations_count
    from (${selectNames(ids)}) name
    union all
    select
      user_id, null, null, null, null, id, (select count(*)::int from installations where user_id = any(${ids}::uuid[]))
    from held
    ${identifiers.length === 0 ? sql`` : sql`union all ${strangers(identifiers, ids)}`}
  `);
  if (facts.some((row) => row.kind === null && row.installation_id === null)) throw new StaleReadError();
  const own = facts.find((row) => row.installation_id !== null && row.installation_id === installationId);
  return {
    users: nameUsers(users, facts.flatMap(toName)),
    ownerId: own?.user_id ?? null,
    installationsCount: own?.installations_count ?? 0,
  };
}

/** A name, or an installation that is locked, or, with neither, a user who is concerned and not locked. */
interface FactRow {
  user_id: string;
  kind: IdentifierKind | null;
  value: string | null;
  is_alias: boolean | null;
  is_claim: boolean | null;
  installation_id: string | null;
  installations_count: number | null;
}

function toName({ user_id, kind, value, is_alias, is_claim }: FactRow): NameRow[] {
  if (kind === null || value === null) return [];
  return [{ user_id, kind, value, is_alias: is_alias ?? false, is_claim: is_claim ?? false }];
}

/** Selects the installations of nameless users, who are locked, of whom something is claimed. */
function installationsOfClaimants(userIds: readonly string[]): Sql {
  return sql`
    select i.id from identifier_claims c join installations i using (user_id)
    where c.user_id = any(${[...userIds]}::uuid[])
      and not exists (select from identifiers n where n.user_id = c.user_id)
  `;
}

/** Selects who is called any of `identifiers`, or claimed to be, and is none of `userIds`. */
function strangers(identifiers: readonly Identifier[], userIds: readonly string[]): Sql {
  return sql`
    select user_id, null, null, null, null, null, null from (${holdersAndClaimants(identifiers)}) called
    where user_id <> all(${[...userIds]}::uuid[])
  `;
}
