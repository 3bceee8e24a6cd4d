import { sql, type Transaction } from '../storage/database.ts';
import type { OwnedIdentifier } from './user-identity-store.ts';

/** Takes identifiers away from their users, who are locked, with the recipients of these addresses. */
export async function removeIdentifiers(tx: Transaction, identifiers: readonly OwnedIdentifier[]): Promise<void> {
  if (identifiers.length === 0) return;
  const kinds = identifiers.map(({ kind }) => kind);
  const values = identifiers.map(({ value }) => value);
  await tx.$executeRaw(sql`
    with given as (select kind, value from unnest(${kinds}::identifier_kind[], ${values}::text[]) as given (kind, value)),
    unnamed as (delete from identifiers i using given where i.kind = given.kind and i.value = given.value)
    delete from recipients r using given
    where r.address = given.value and r.channel = case given.kind when 'EMAIL' then 'EMAIL' else 'SMS' end::channel
  `);
}
