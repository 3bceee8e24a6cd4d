import type { Installation } from '../generated/prisma/client.ts';
import { newId } from '../ids.ts';
import { camelCaseKeys, type Sql, sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { noAddress } from './installation-address.ts';

/** What callers may write to an installation's row. */
export type InstallationData = Omit<
  Installation,
  | ('id' | 'appId' | 'userId' | 'isPrimaryDevice' | 'departures')
  | ('addressRegisteredAt' | 'subscribedAt' | 'createdAt' | 'lastSeenAt')
>;

/** What is known of an installation of which nothing more was said. */
export const blankInstallation: Omit<InstallationData, 'platform' | 'pushStatus'> = {
  ...noAddress,
  isPushRegistrationEnabled: true,
  language: null,
  timeZone: null,
  appVersion: null,
  osVersion: null,
  deviceModel: null,
  customAttributes: {},
  softPromptDeclinedAt: null,
};

/**
 * Locks installations `i` with the users whose they are: users first, then installations, both in id order, as every verb does.
 * What changes of an installation may change whether its user can be reached, by a trigger, which has to wait for nobody then.
 *
 * @throws StaleReadError when one changed its user meanwhile.
 */
export async function lockWithOwners(tx: Transaction, which: Sql): Promise<Installation[]> {
  const owners = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from users where id = any(array(select i.user_id from installations i where ${which}))
    order by id for no key update
  `);
  const rows = await tx.$queryRaw<object[]>(sql`
    select i.* from installations i where ${which} order by i.id for no key update
  `);
  const installations = rows.map((row) => camelCaseKeys<Installation>(row));
  const locked = new Set(owners.map(({ id }) => id));
  if (installations.some(({ userId }) => !locked.has(userId))) throw new StaleReadError();
  return installations;
}

/**
 * Locks an installation and the one that holds the address that it is to get, with their users, so that two that swap their
 * addresses cannot wait for each other. Of many that get one address at once, each waits for the one before.
 *
 * @returns the installation, or null if there is none of this id.
 * @throws StaleReadError as {@link lockWithOwners} does.
 */
export async function lockWithAddress(
  tx: Transaction,
  id: string | null,
  addressHash: Uint8Array | null,
): Promise<Installation | null> {
  if (id === null && addressHash === null) return null;
  if (addressHash) {
    await tx.$executeRaw(
      sql`select pg_advisory_xact_lock(hashtextextended(${`address ${Buffer.from(addressHash).toString('hex')}`}, 0))`,
    );
  }
  const rows = await lockWithOwners(tx, sql`(i.id = ${id}::uuid or i.address_hash = ${addressHash})`);
  return rows.find((row) => row.id === id) ?? null;
}

/** Whoever else holds the address loses it and is suspended (decision 8); its row stays. Its opt-out stays with both. */
export async function takeAddress(tx: Transaction, addressHash: Uint8Array, ownId: string | null): Promise<void> {
  await tx.$executeRaw(sql`
    with suspended as (
      update installations set address_hash = null, address_cipher = null, address_kind = null, push_status = 'SUSPENDED'
      where address_hash = ${addressHash} and id is distinct from ${ownId}::uuid
      returning id
    )
    insert into suppressions (channel, address_hash)
    select 'PUSH', ${addressHash} from suspended join recipients r on r.installation_id = suspended.id
    where not r.is_subscribed
    on conflict (channel, address_hash) do update set created_at = now()
  `);
}

/** An installation gives its address up; an opt-out stays with both. The installation is locked. */
export async function dropAddress(tx: Transaction, id: string): Promise<void> {
  await tx.$executeRaw(sql`
    with had as (select id, address_hash from installations where id = ${id}::uuid),
    dropped as (
      update installations set address_hash = null, address_cipher = null, address_kind = null where id = ${id}::uuid
    )
    insert into suppressions (channel, address_hash)
    select 'PUSH', address_hash from had join recipients r on r.installation_id = had.id
    where address_hash is not null and not r.is_subscribed
    on conflict (channel, address_hash) do update set created_at = now()
  `);
}

/** Adds an installation with its push recipient. */
export async function insertInstallation(
  tx: Transaction,
  { id, appId, userId }: Pick<Installation, 'id' | 'appId' | 'userId'>,
  data: InstallationData,
): Promise<void> {
  await tx.$executeRaw(sql`
    with installation as (
      insert into installations (
        id, app_id, user_id, platform, address_hash, address_cipher, address_kind, address_registered_at, push_status,
        is_push_registration_enabled, language, time_zone, app_version, os_version, device_model, custom_attributes,
        soft_prompt_declined_at
      ) values (
        ${id}::uuid, ${appId}::uuid, ${userId}::uuid, ${data.platform}::platform, ${data.addressHash},
        ${data.addressCipher}, ${data.addressKind}, case when ${data.addressCipher}::bytea is not null then now() end,
        ${data.pushStatus}::push_status, ${data.isPushRegistrationEnabled}, ${data.language}, ${data.timeZone}, ${data.appVersion}, ${data.osVersion}, ${data.deviceModel},
        ${JSON.stringify(data.customAttributes)}::jsonb, ${data.softPromptDeclinedAt}
      )
    )
    insert into recipients (id, channel, user_id, installation_id)
    values (${newId()}::uuid, 'PUSH', ${userId}::uuid, ${id}::uuid)
  `);
}

/**
 * Writes what callers may write of an installation, which is locked.
 *
 * @param isSeen whether the installation itself was heard of.
 */
export async function updateInstallationData(
  tx: Transaction,
  data: InstallationData & Pick<Installation, 'id'>,
  { isSeen }: { isSeen: boolean },
): Promise<void> {
  await tx.$executeRaw(sql`
    update installations set
      platform = ${data.platform}::platform, address_hash = ${data.addressHash}, address_cipher = ${data.addressCipher},
      address_kind = ${data.addressKind},
      -- Sealed anew it is another text, also of the same address.
      address_registered_at = case
        when address_cipher is not distinct from ${data.addressCipher}::bytea then address_registered_at else now()
      end,
      push_status = ${data.pushStatus}::push_status, is_push_registration_enabled = ${data.isPushRegistrationEnabled},
      language = ${data.language}, time_zone = ${data.timeZone}, app_version = ${data.appVersion},
      os_version = ${data.osVersion}, device_model = ${data.deviceModel},
      custom_attributes = ${JSON.stringify(data.customAttributes)}::jsonb,
      soft_prompt_declined_at = ${data.softPromptDeclinedAt},
      last_seen_at = case when ${isSeen} then now() else last_seen_at end
    where id = ${data.id}::uuid
  `);
}
