import type { User } from '../generated/prisma/client.ts';
import type { IdentifierKind } from '../generated/prisma/enums.ts';
import { suppressionHash } from '../recipients/suppressions.ts';
import type { Cipher } from '../storage/cipher.ts';
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

/** Who gets which identifiers. */
interface AddIdentifiers {
  userId: string;
  identifiers: readonly Identifier[];
  /** Of the deployment: tells which addresses were opted out. */
  cipher: Pick<Cipher, 'hash'>;
}

/**
 * Gives identifiers to a user, and with an e-mail address or a phone the recipient of it. What the user already has stays
 * as it is, and an address that was opted out before it was removed comes back so: an opt-out survives.
 *
 * @returns whether all of them are the user's now; false when another transaction gave one to somebody else meanwhile.
 */
export async function addIdentifiers(
  tx: Transaction,
  { userId, identifiers, cipher }: AddIdentifiers,
): Promise<boolean> {
  if (identifiers.length === 0) return true;
  await tx.$executeRaw(sql`
    insert into identifiers (kind, value, user_id)
    select kind, value, ${userId}::uuid
    from unnest(
      ${identifiers.map(({ kind }) => kind)}::identifier_kind[], ${identifiers.map(({ value }) => value)}::text[]
    ) as given (kind, value)
    order by kind, value
    on conflict (kind, value) do nothing
  `);
  const addresses = identifiers.flatMap(({ kind, value }) =>
    kind === 'EXTERNAL_USER_ID' ? [] : [{ channel: kind === 'EMAIL' ? ('EMAIL' as const) : ('SMS' as const), value }],
  );
  if (addresses.length > 0) {
    await tx.$executeRaw(sql`
      insert into recipients (id, channel, user_id, address, is_subscribed)
      select uuid_v7(), channel, ${userId}::uuid, address, not exists (
        select from suppressions s where s.channel = given.channel and s.address_hash = given.address_hash
      )
      from unnest(
        ${addresses.map(({ channel }) => channel)}::channel[], ${addresses.map(({ value }) => value)}::text[],
        ${addresses.map(({ channel, value }) => suppressionHash(cipher, channel, value))}::bytea[]
      ) as given (channel, address, address_hash)
      order by channel, address
      on conflict (channel, address) do nothing
    `);
  }
  const holders = await findHolders(tx, identifiers);
  return holders.length === 1 && holders[0] === userId;
}
