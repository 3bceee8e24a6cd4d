import type { Channel } from '../generated/prisma/enums.ts';
import type { Cipher } from '../storage/cipher.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** A suppressed address: what is left of an opt-out whose recipient was removed or erased. */
export interface Suppression {
  channel: Channel;
  addressHash: Uint8Array;
}

/**
 * As what an address is remembered that nothing may be sent to: a keyed hash of its normal form, from which nobody reads the
 * address. (A push address is remembered as `installations.address_hash`.)
 */
export function suppressionHash(
  cipher: Pick<Cipher, 'hash'>,
  channel: Extract<Channel, 'EMAIL' | 'SMS'>,
  address: string,
): Uint8Array<ArrayBuffer> {
  return cipher.hash(`suppression ${channel}`, address);
}

/** Remembers opt-outs, so that whoever brings the address back finds it opted out. What is remembered already is of now, too. */
export async function addSuppressions(tx: Transaction, suppressions: readonly Suppression[]): Promise<void> {
  if (suppressions.length === 0) return;
  await tx.$executeRaw(sql`
    insert into suppressions (channel, address_hash)
    select distinct channel, address_hash
    from unnest(
      ${suppressions.map(({ channel }) => channel)}::channel[],
      ${suppressions.map(({ addressHash }) => addressHash)}::bytea[]
    ) as given (channel, address_hash)
    order by channel, address_hash
    on conflict (channel, address_hash) do update set created_at = now()
  `);
}

/** Forgets an opt-out: its person has subscribed again. */
export async function liftSuppression(tx: Transaction, { channel, addressHash }: Suppression): Promise<void> {
  await tx.$executeRaw(
    sql`delete from suppressions where channel = ${channel}::channel and address_hash = ${addressHash}`,
  );
}

/**
 * Opts an installation's push recipient out if its address was opted out before, and its person has not subscribed since. For
 * whenever an installation gets an address.
 */
export async function obeySuppression(
  tx: Transaction,
  { installationId, addressHash }: { installationId: string; addressHash: Uint8Array },
): Promise<void> {
  await tx.$executeRaw(sql`
    update recipients r set is_subscribed = false
    from suppressions s
    where r.installation_id = ${installationId}::uuid and r.is_subscribed
      and s.channel = 'PUSH' and s.address_hash = ${addressHash}
      and (r.consent_at is null or r.consent_at < s.created_at)
  `);
}
