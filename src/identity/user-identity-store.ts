import type { User } from '../generated/prisma/client.ts';
import type { IdentifierKind } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import type { Identifier } from './identifier.ts';

/** A user as identity decisions see one. */
export interface NamedUser {
  user: User;
  identifiers: { kind: IdentifierKind; value: string; isAlias: boolean }[];
  /** What clients say that it is called, unverified (rule U11). Names it for nobody else. */
  claims: Identifier[];
}

/** Whether anybody could find this user by a name of theirs. An unnamed lead is nobody's profile yet. */
export function isNamed({ identifiers }: NamedUser): boolean {
  return identifiers.length > 0;
}

/** The external user id that a user shows, or null. Aliases are not shown. */
export function shownExternalUserId({ identifiers }: NamedUser): string | null {
  return identifiers.find(({ kind, isAlias }) => kind === 'EXTERNAL_USER_ID' && !isAlias)?.value ?? null;
}

/**
 * Locks users, always in id order so that two writers cannot wait for each other, and reads them with what they are called.
 * `for no key update`: rows that refer to the user may still be added meanwhile (a fan-out's deliveries, say).
 */
export async function lockUsers(tx: Transaction, ids: Iterable<string>): Promise<Map<string, NamedUser>> {
  const wanted = [...new Set(ids)];
  await tx.$queryRaw(sql`select id from users where id = any(${wanted}::uuid[]) order by id for no key update`);
  return readUsers(tx, wanted);
}

/** Reads users with what they are called, without locking them. */
export async function readUsers(tx: Transaction, ids: Iterable<string>): Promise<Map<string, NamedUser>> {
  const wanted = [...new Set(ids)];
  const users = await tx.user.findMany({ where: { id: { in: wanted } }, include: { identifiers: true, claims: true } });
  return new Map(users.map(({ identifiers, claims, ...user }) => [user.id, { user, identifiers, claims }]));
}

/**
 * Keeps users from being merged away until the commit, for what is about to refer to them.
 *
 * @throws StaleReadError when one is a tombstone already, so that the transaction is repeated.
 */
export async function holdUsers(tx: Transaction, ids: readonly string[]): Promise<void> {
  const rows = await tx.$queryRaw<{ is_merged: boolean }[]>(sql`
    select merged_into_id is not null as is_merged from users where id = any(${[...ids]}::uuid[]) order by id for share
  `);
  if (rows.some((row) => row.is_merged)) throw new StaleReadError();
}

/** The distinct users that hold any of `identifiers`. */
export async function findHolders(tx: Transaction, identifiers: readonly Identifier[]): Promise<string[]> {
  const rows = await tx.$queryRaw<{ user_id: string }[]>(sql`
    select distinct i.user_id
    from unnest(
      ${identifiers.map(({ kind }) => kind)}::identifier_kind[], ${identifiers.map(({ value }) => value)}::text[]
    ) as given (kind, value)
    join identifiers i on i.kind = given.kind and i.value = given.value
  `);
  return rows.map((row) => row.user_id);
}

/**
 * Gives identifiers to a user, and with an e-mail address or a phone the recipient of it. What the user already has stays
 * as it is, so that an opt-out survives.
 *
 * @returns whether all of them are the user's now; false when another transaction gave one to somebody else meanwhile.
 */
export async function addIdentifiers(
  tx: Transaction,
  userId: string,
  identifiers: readonly Identifier[],
): Promise<boolean> {
  if (identifiers.length === 0) return true;
  const kinds = identifiers.map(({ kind }) => kind);
  const values = identifiers.map(({ value }) => value);
  await tx.$executeRaw(sql`
    insert into identifiers (kind, value, user_id)
    select kind, value, ${userId}::uuid
    from unnest(${kinds}::identifier_kind[], ${values}::text[]) as given (kind, value)
    order by kind, value
    on conflict (kind, value) do nothing
  `);
  await tx.$executeRaw(sql`
    insert into recipients (id, channel, user_id, address)
    select uuid_v7(), case kind when 'EMAIL' then 'EMAIL' else 'SMS' end::channel, ${userId}::uuid, value
    from unnest(${kinds}::identifier_kind[], ${values}::text[]) as given (kind, value)
    where kind <> 'EXTERNAL_USER_ID'
    order by kind, value
    on conflict (channel, address) do nothing
  `);
  const holders = await findHolders(tx, identifiers);
  return holders.length === 1 && holders[0] === userId;
}
