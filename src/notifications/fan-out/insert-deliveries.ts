import type { UserReference } from '../../identity/user-reference.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import {
  type Audience,
  decideInstallationDeliveries,
  decideUserDeliveries,
  type PeopleAudience,
} from './decide-deliveries.ts';

/** Of which notification. */
type Made<Of extends Audience> = Of & { notificationId: string };

/**
 * One delivery per recipient and channel for each of `userIds`: QUEUED, or DISCARDED with the reason. A user without an
 * address for an asked channel gets one delivery that says so. Safe to repeat. The last statement of its transaction.
 *
 * @param isBroadcast everybody is meant: what an installation gets is its own, whoever uses it then
 */
export async function insertUserDeliveries(
  tx: Transaction,
  audience: Made<PeopleAudience>,
  { userIds, isBroadcast }: { userIds: readonly string[]; isBroadcast: boolean },
): Promise<void> {
  const users = sql`unnest(${[...userIds]}::uuid[]) as audience (user_id)`;
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, reason)
    select
      uuid_v7(), ${audience.notificationId}::uuid, target_key, channel, user_id, recipient_id, ${isBroadcast},
      case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
    from (${decideUserDeliveries(audience, users)}) decided
    on conflict (notification_id, target_key) do nothing
  `);
}

/**
 * One push delivery per installation, which is meant itself, whoever uses it. An id that is not registered gets a
 * delivery that says so. Safe to repeat. The last statement of its transaction.
 */
export async function insertInstallationDeliveries(
  tx: Transaction,
  audience: Made<Audience>,
  installationIds: readonly string[],
): Promise<void> {
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, reason)
    select
      uuid_v7(), ${audience.notificationId}::uuid, coalesce(recipient_id, md5(installation_id::text)::uuid), 'PUSH', user_id,
      recipient_id, true, case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
    from (${decideInstallationDeliveries(audience, installationIds)}) decided
    on conflict (notification_id, target_key) do nothing
  `);
}

/** One delivery per reference that names nobody, so that the sender sees it (rule M2). Safe to repeat; a last statement. */
export async function insertUnknownUserDeliveries(
  tx: Transaction,
  notificationId: string,
  references: readonly UserReference[],
): Promise<void> {
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, status, reason)
    select uuid_v7(), ${notificationId}::uuid, md5(reference)::uuid, 'DISCARDED', 'UNKNOWN_USER'
    from unnest(${references.map((reference) => JSON.stringify(reference))}::text[]) as unknown (reference)
    on conflict (notification_id, target_key) do nothing
  `);
}
