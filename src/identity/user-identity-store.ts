import type { User } from '../generated/prisma/client.ts';
import type { IdentifierKind } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import { suppressionHash } from '../recipients/suppressions.ts';
import { arrayLiteral } from '../storage/array-literal.ts';
import type { Cipher } from '../storage/cipher.ts';
import { camelCaseKeys, type Sql, sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import type { Identifier } from './identifier.ts';

/** A user as identity decisions see one. */
export interface NamedUser {
  user: User;
  identifiers: { kind: IdentifierKind; value: string; isAlias: boolean }[];
  /** What clients say that it is called, unverified (rule U11). Names it for nobody else. */
  claims: Identifier[];
}

/**
 * Whether this is somebody's profile: an unnamed lead is nobody's yet. A customer was named once, and remains that person
 * when an undone merge takes the last name away.
 */
export function isNamed({ user, identifiers }: NamedUser): boolean {
  return identifiers.length > 0 || user.type === 'CUSTOMER';
}

/** The external user id that a user shows, or null. Aliases are not shown. */
export function shownExternalUserId({ identifiers }: Pick<NamedUser, 'identifiers'>): string | null {
  return identifiers.find(({ kind, isAlias }) => kind === 'EXTERNAL_USER_ID' && !isAlias)?.value ?? null;
}

/**
 * Locks users, always in id order so that two writers cannot wait for each other, and reads them with what they are called.
 * `for no key update`: rows that refer to the user may still be added meanwhile (a fan-out's deliveries, say).
 */
export async function lockUsers(tx: Transaction, ids: Iterable<string>): Promise<Map<string, NamedUser>> {
  const wanted = [...new Set(ids)];
  if (wanted.length === 0) return new Map();
  const rows = await tx.$queryRaw<object[]>(sql`
    select * from users where id = any(${wanted}::uuid[]) order by id for no key update
  `);
  // A statement of its own: this one sees what was committed while the locks were waited for.
  return withNames(tx, rows);
}

/** Reads users with what they are called, without locking them. */
export async function readUsers(
  db: Pick<Transaction, '$queryRaw'>,
  ids: readonly string[],
): Promise<Map<string, NamedUser>> {
  return withNames(db, await db.$queryRaw<object[]>(sql`select * from users where id = any(${[...ids]}::uuid[])`));
}

/** One thing that a user is called, or claimed to be. */
export interface NameRow extends Identifier {
  user_id: string;
  is_alias: boolean;
  is_claim: boolean;
}

async function withNames(db: Pick<Transaction, '$queryRaw'>, rows: readonly object[]): Promise<Map<string, NamedUser>> {
  const users = rows.map((row) => camelCaseKeys<User>(row));
  return nameUsers(users, await db.$queryRaw<NameRow[]>(selectNames(users.map(({ id }) => id))));
}

/** Selects what users are called: {@link NameRow}s. */
export function selectNames(userIds: readonly string[]): Sql {
  return sql`
    select user_id, kind::text, value, is_alias, false as is_claim from identifiers
    where user_id = any(${[...userIds]}::uuid[])
    union all
    select user_id, kind::text, value, false, true from identifier_claims where user_id = any(${[...userIds]}::uuid[])
  `;
}

/** Users by id, with what they are called. */
export function nameUsers(users: readonly User[], names: readonly NameRow[]): Map<string, NamedUser> {
  const namesOf = Map.groupBy(names, (name) => name.user_id);
  return new Map(users.map((user) => [user.id, toNamedUser(user, namesOf.get(user.id) ?? [])]));
}

function toNamedUser(user: User, names: readonly NameRow[]): NamedUser {
  return {
    user,
    identifiers: names
      .filter((name) => !name.is_claim)
      .map(({ kind, value, is_alias }) => ({ kind, value, isAlias: is_alias })),
    claims: names.filter((name) => name.is_claim).map(({ kind, value }) => ({ kind, value })),
  };
}

/**
 * Keeps users from being merged or erased until the commit, for what is about to refer to them.
 *
 * @param ids each once.
 * @throws StaleReadError when one is a tombstone already, or gone, so that the transaction is repeated.
 */
export async function holdUsers(tx: Transaction, ids: readonly string[]): Promise<void> {
  const rows = await tx.$queryRaw<{ is_merged: boolean }[]>(sql`
    select merged_into_id is not null as is_merged from users where id = any(${[...ids]}::uuid[]) order by id for share
  `);
  if (rows.length < ids.length || rows.some((row) => row.is_merged)) throw new StaleReadError();
}

/** Whether a user is called any of `identifiers`. */
export function isCalled({ identifiers }: Pick<NamedUser, 'identifiers'>, given: readonly Identifier[]): boolean {
  return identifiers.some((known) => given.some(({ kind, value }) => known.kind === kind && known.value === value));
}

/** An identifier and whose it is, or is to be. */
export interface OwnedIdentifier extends Identifier {
  userId: string;
}

/** Identifiers and whose they are to be, as rows of a statement; null: there are none. */
export type IdentifierRows = Sql | null;

/** @param cipher of the deployment: tells which addresses were opted out. */
export function toIdentifierRows(cipher: Cipher, identifiers: readonly OwnedIdentifier[]): IdentifierRows {
  if (identifiers.length === 0) return null;
  const column = (toText: (identifier: OwnedIdentifier) => string | null) => arrayLiteral(identifiers.map(toText));
  const isAddress = ({ kind }: Identifier) => kind !== 'EXTERNAL_USER_ID';
  return sql`
    unnest(
      ${column(({ kind }) => kind)}::identifier_kind[],
      ${column(({ value }) => value)}::text[],
      ${column(({ userId }) => userId)}::uuid[],
      ${column((identifier) => (isAddress(identifier) ? newId() : null))}::uuid[],
      ${column((identifier) => (isAddress(identifier) ? toHex(identifierHash(cipher, identifier)) : null))}::text[]
    ) as given (kind, value, user_id, recipient_id, address_hex)
  `;
}

/**
 * Gives identifiers that they do not have yet to users, who are locked or new, and with an e-mail address or a phone the
 * recipient of it. One that was opted out before it was removed comes back so: an opt-out survives.
 *
 * Another transaction may have given one of them to somebody else meanwhile: then the unique index refuses it, and the
 * transaction is repeated.
 */
export async function addIdentifiers(tx: Transaction, rows: IdentifierRows): Promise<void> {
  if (rows === null) return;
  await tx.$executeRaw(sql`
    with given as (
      select kind, value, user_id, recipient_id, decode(address_hex, 'hex') as address_hash,
        case kind when 'EMAIL' then 'EMAIL'::channel when 'PHONE' then 'SMS'::channel end as channel
      from ${rows}
    ),
    named as (
      insert into identifiers (kind, value, user_id) select kind, value, user_id from given order by kind, value collate "C"
    )
    insert into recipients (id, channel, user_id, address, is_subscribed)
    select recipient_id, given.channel, user_id, value, s.address_hash is null
    from given left join suppressions s on s.channel = given.channel and s.address_hash = given.address_hash
    where given.channel is not null
    order by given.channel, value collate "C"
  `);
}

const toHex = (bytes: Uint8Array<ArrayBuffer>): string => Buffer.from(bytes.buffer).toString('hex');

/** As what an opt-out of an identifier's address is remembered; of what is no address nothing is. */
export function identifierHash(cipher: Cipher, { kind, value }: Identifier): Uint8Array<ArrayBuffer> {
  if (kind === 'EXTERNAL_USER_ID') return new Uint8Array();
  return suppressionHash(cipher, kind === 'EMAIL' ? 'EMAIL' : 'SMS', value);
}
