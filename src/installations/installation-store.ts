import type { Prisma } from '../generated/prisma/client.ts';
import type { Platform, PushStatus } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** What a caller may write to an installation's row. Prisma leaves a column alone whose value is undefined. */
export type InstallationData = Omit<Prisma.InstallationUncheckedCreateInput, 'id' | 'appId' | 'userId'>;

/** An installation that is locked. */
interface LockedInstallation {
  id: string;
  platform: Platform;
  pushStatus: PushStatus;
}

/**
 * Locks an installation and the one that holds the address that it is to get, in id order, so that two that swap their
 * addresses cannot wait for each other. Of many that get one address at once, each waits for the one before.
 *
 * @returns the installation, or null if there is none of this id.
 */
export async function lockWithAddress(
  tx: Transaction,
  id: string | null,
  addressHash: Uint8Array | null,
): Promise<LockedInstallation | null> {
  if (addressHash) {
    await tx.$executeRaw(
      sql`select pg_advisory_xact_lock(hashtextextended(${`address ${Buffer.from(addressHash).toString('hex')}`}, 0))`,
    );
  }
  const rows = await tx.$queryRaw<{ id: string; platform: Platform; push_status: PushStatus }[]>(sql`
    select id, platform::text, push_status::text from installations
    where id = ${id}::uuid or address_hash = ${addressHash}
    order by id for no key update
  `);
  const own = rows.find((row) => row.id === id);
  return own ? { id: own.id, platform: own.platform, pushStatus: own.push_status } : null;
}

/** Whoever else holds the address loses it and is suspended (decision 8); its row stays. */
export async function takeAddress(tx: Transaction, addressHash: Uint8Array, ownId: string | null): Promise<void> {
  await tx.$executeRaw(sql`
    update installations set address_hash = null, address_cipher = null, push_status = 'SUSPENDED'
    where address_hash = ${addressHash} and id is distinct from ${ownId}::uuid
  `);
}

/** That the installation itself was heard of. */
export async function markSeen(tx: Transaction, id: string): Promise<void> {
  await tx.$executeRaw(sql`update installations set last_seen_at = now() where id = ${id}::uuid`);
}
