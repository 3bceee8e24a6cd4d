import type { Cipher } from '../storage/cipher.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { identifierHash, type OwnedIdentifier } from './user-identity-store.ts';

/**
 * Takes identifiers away from their users, who are locked, with the recipients of these addresses. An opt-out stays as a
 * suppression, so that whoever brings the address back finds it opted out. What is queued for an address ends at its turn.
 */
export async function removeIdentifiers(
  tx: Transaction,
  cipher: Cipher,
  identifiers: readonly OwnedIdentifier[],
): Promise<void> {
  if (identifiers.length === 0) return;
  await tx.$executeRaw(sql`
    with given as (
      select * from unnest(
        ${identifiers.map(({ kind }) => kind)}::identifier_kind[],
        ${identifiers.map(({ value }) => value)}::text[],
        ${identifiers.map((identifier) => identifierHash(cipher, identifier))}::bytea[]
      ) as given (kind, value, address_hash)
    ),
    unnamed as (delete from identifiers i using given where i.kind = given.kind and i.value = given.value),
    unreached as (
      delete from recipients r using given
      where r.address = given.value and r.channel = case given.kind when 'EMAIL' then 'EMAIL' when 'PHONE' then 'SMS' end::channel
      returning r.channel, given.address_hash, r.is_subscribed
    )
    insert into suppressions (channel, address_hash)
    select channel, address_hash from unreached where not is_subscribed
    order by channel, address_hash
    on conflict (channel, address_hash) do nothing
  `);
}
