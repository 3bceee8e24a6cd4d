import { ineligibility } from '../../deliveries/eligibility.ts';
import type { Channel } from '../../generated/prisma/enums.ts';
import type { UserReference } from '../../identity/user-reference.ts';
import { type Sql, sql, type Transaction } from '../../storage/database.ts';

/** Of which notification, and by which channels. */
export interface Audience {
  notificationId: string;
  /** Empty: every channel of `configured` that a user has an address for. */
  channels: readonly Channel[];
  configured: readonly Channel[];
  targetOnlyPrimaryDevices: boolean;
}

/** An audience of people. */
export interface PeopleAudience extends Audience {
  /** Which of their installations, `i` of `u`, a push may go to; the others are not meant. Null: any. */
  fits: Sql | null;
}

/**
 * One delivery per recipient and channel for each of `userIds`: QUEUED, or DISCARDED with the reason. A user without an
 * address for an asked channel gets one delivery that says so. Safe to repeat. The last statement of its transaction.
 */
export async function insertUserDeliveries(
  tx: Transaction,
  { notificationId, channels, configured, targetOnlyPrimaryDevices, fits }: PeopleAudience,
  userIds: readonly string[],
): Promise<void> {
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, status, reason)
    select
      uuid_v7(), ${notificationId}::uuid, target_key, channel, user_id, recipient_id,
      case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
    from (
      select
        coalesce(r.id, md5(concat(audience.user_id, wanted.channel))::uuid) as target_key,
        coalesce(r.channel, wanted.channel) as channel,
        audience.user_id,
        r.id as recipient_id,
        ${ineligibility(sql`${targetOnlyPrimaryDevices}`)} as reason
      from unnest(${userIds}::uuid[]) as audience (user_id)
      join users u on u.id = audience.user_id
      cross join unnest(${channels.length > 0 ? channels : [null]}::channel[]) as wanted (channel)
      left join recipients r on r.user_id = audience.user_id
        and (r.channel = wanted.channel or (wanted.channel is null and r.channel = any(${configured}::channel[])))
        and ${fits === null ? sql`true` : sql`(r.channel <> 'PUSH' or exists (select from installations i where i.id = r.installation_id and ${fits}))`}
      left join installations i on i.id = r.installation_id
    ) decided
    on conflict (notification_id, target_key) do nothing
  `);
}

/**
 * One push delivery per installation, which is meant itself, whoever uses it. An id that is not registered gets a
 * delivery that says so. Safe to repeat. The last statement of its transaction.
 */
export async function insertInstallationDeliveries(
  tx: Transaction,
  { notificationId, targetOnlyPrimaryDevices }: Audience,
  installationIds: readonly string[],
): Promise<void> {
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, reason)
    select
      uuid_v7(), ${notificationId}::uuid, coalesce(recipient_id, md5(installation_id::text)::uuid), 'PUSH', user_id,
      recipient_id, true, case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
    from (
      select
        meant.id as installation_id, r.id as recipient_id, i.user_id,
        ${ineligibility(sql`${targetOnlyPrimaryDevices}`)} as reason
      from unnest(${installationIds}::uuid[]) as meant (id)
      left join installations i on i.id = meant.id
      left join recipients r on r.installation_id = i.id
    ) decided
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
