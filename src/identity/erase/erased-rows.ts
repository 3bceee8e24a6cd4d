import type { Channel } from '../../generated/prisma/enums.ts';
import { addSuppressions, type Suppression, suppressionHash } from '../../recipients/suppressions.ts';
import type { Cipher } from '../../storage/cipher.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import { StaleReadError } from '../../storage/transaction.ts';

/**
 * Locks a user with its tombstones and installations, so that nobody refers to any of them any more: what has been about to
 * is waited for.
 *
 * @returns ids of the user and its tombstones.
 * @throws StaleReadError when one was merged or erased meanwhile.
 */
export async function lockFamily(tx: Transaction, userId: string): Promise<string[]> {
  await tx.$queryRaw(sql`
    select id from users where id = ${userId}::uuid or merged_into_id = ${userId}::uuid order by id for update
  `);
  await tx.$queryRaw(sql`select id from installations where user_id = ${userId}::uuid order by id for update`);
  // While the locks were waited for, others may have been merged into it. From here on nobody is.
  const rows = await tx.$queryRaw<{ id: string; is_merged: boolean }[]>(sql`
    select id, merged_into_id is not null as is_merged from users
    where id = ${userId}::uuid or merged_into_id = ${userId}::uuid
    order by id for update
  `);
  if (!rows.some((row) => row.id === userId && !row.is_merged)) throw new StaleReadError();
  return rows.map((row) => row.id);
}

interface OptOutRow {
  channel: Channel;
  address: string | null;
  address_hash: Uint8Array | null;
}

/** Keeps opt-outs of addresses that will be gone, as keyed hashes. The users are locked. */
export async function keepOptOuts(tx: Transaction, cipher: Cipher, userIds: readonly string[]): Promise<void> {
  const rows = await tx.$queryRaw<OptOutRow[]>(sql`
    select r.channel::text, r.address, i.address_hash
    from recipients r left join installations i on i.id = r.installation_id
    where r.user_id = any(${[...userIds]}::uuid[]) and not r.is_subscribed
  `);
  const suppressions = rows.flatMap(({ channel, address, address_hash }): Suppression[] => {
    if (address !== null && (channel === 'EMAIL' || channel === 'SMS')) {
      return [{ channel, addressHash: suppressionHash(cipher, channel, address) }];
    }
    return address_hash === null ? [] : [{ channel, addressHash: address_hash }];
  });
  await addSuppressions(tx, suppressions);
}

/**
 * Removes the rows of a user and its tombstones, who are locked, in the order in which they refer to each other.
 *
 * @returns ids of the recipients that there were.
 */
export async function eraseRows(tx: Transaction, userId: string, family: readonly string[]): Promise<string[]> {
  const users = sql`${[...family]}::uuid[]`;
  await tx.$executeRaw(sql`delete from merge_records where survivor_id = any(${users}) or merged_id = any(${users})`);
  await tx.$executeRaw(sql`delete from segment_members where user_id = any(${users})`);
  const recipients = await tx.$queryRaw<{ id: string }[]>(
    sql`delete from recipients where user_id = any(${users}) returning id`,
  );
  // Their tokens go with them; claims, what was said of topics, and events with their users.
  await tx.$executeRaw(sql`delete from installations where user_id = any(${users})`);
  await tx.$executeRaw(sql`delete from identifiers where user_id = any(${users})`);
  await tx.$executeRaw(sql`delete from users where id = any(${users}) and id <> ${userId}::uuid`);
  await tx.$executeRaw(sql`delete from users where id = ${userId}::uuid`);
  return recipients.map(({ id }) => id);
}
