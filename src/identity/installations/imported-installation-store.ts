import { sql, type Transaction } from '../../storage/database.ts';
import type { ParsedImport } from './parse-imported-installation.ts';

/** An imported installation, and where it goes. */
export interface PlacedImport extends Omit<ParsedImport, 'reference' | 'appId' | 'path'> {
  id: string;
  userId: string;
  appId: string;
}

/**
 * Makes installations with their push recipients, in one statement; an address that was opted out before comes back opted out.
 * One whose address is there already is not made. The users are locked.
 *
 * @returns the ids of those that were made.
 */
export async function insertImported(tx: Transaction, imports: readonly PlacedImport[]): Promise<Set<string>> {
  const given = imports.map(({ sealed, details, ...rest }) => ({
    ...rest,
    ...details,
    addressHash: Buffer.from(sealed.addressHash).toString('base64'),
    addressCipher: Buffer.from(sealed.addressCipher).toString('base64'),
    addressKind: sealed.addressKind,
  }));
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(given)}::jsonb) as given (
        id uuid, "appId" uuid, "userId" uuid, platform platform, "addressHash" text, "addressCipher" text,
        "addressKind" text,
        "pushStatus" push_status, "subscribedAt" timestamptz, language text, "timeZone" text, "appVersion" text,
        "osVersion" text, "deviceModel" text
      )
    ),
    made as (
      insert into installations (
        id, app_id, user_id, platform, address_hash, address_cipher, address_kind, push_status, subscribed_at, last_seen_at, language,
        time_zone, app_version, os_version, device_model
      )
      select
        id, "appId", "userId", platform, decode("addressHash", 'base64'), decode("addressCipher", 'base64'), "addressKind", "pushStatus",
        "subscribedAt", coalesce("subscribedAt", now()), language, "timeZone", "appVersion", "osVersion", "deviceModel"
      from given
      order by "addressHash"
      on conflict (address_hash) do nothing
      returning id, user_id, address_hash
    ),
    reached as (
      insert into recipients (id, channel, user_id, installation_id, is_subscribed)
      select uuid_v7(), 'PUSH', user_id, id, not exists (
        select from suppressions s where s.channel = 'PUSH' and s.address_hash = made.address_hash
      )
      from made
    )
    select id from made
  `);
  return new Set(rows.map(({ id }) => id));
}

/** Which installation holds an address, and whose it is. */
export interface AddressHolder {
  id: string;
  userId: string;
}

/** The installations that hold addresses, by {@link addressKey}. */
export async function findAddressHolders(
  tx: Transaction,
  addressHashes: readonly Uint8Array[],
): Promise<Map<string, AddressHolder>> {
  const rows = await tx.$queryRaw<{ id: string; user_id: string; address_hash: Uint8Array }[]>(sql`
    select id, user_id, address_hash from installations where address_hash = any(${[...addressHashes]}::bytea[])
  `);
  return new Map(rows.map((row) => [addressKey(row.address_hash), { id: row.id, userId: row.user_id }]));
}

/** An address's hash as a key of a map. */
export const addressKey = (addressHash: Uint8Array): string => Buffer.from(addressHash).toString('hex');
