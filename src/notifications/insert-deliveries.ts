import { ineligibility } from '../deliveries/eligibility.ts';
import type { Channel, Purpose } from '../generated/prisma/enums.ts';
import type { UserReference } from '../identity/user-reference.ts';
import { recipientChannelOf } from '../recipients/recipient-channel.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import { isTopicDeclined } from '../topics/topic-declined.ts';

/** Of which notification, and by which channels. */
export interface Audience {
  notificationId: string;
  /** Empty: every channel of `configured` that a user has a recipient of, so no WhatsApp beside an SMS. */
  channels: readonly Channel[];
  configured: readonly Channel[];
  targetOnlyPrimaryDevices: boolean;
  purpose: Purpose;
  /** What it is about. Null: nothing that one could decline. */
  topicId: string | null;
}

/** SQL that says why nothing is sent to the recipient `r` by a channel, which may be another than its own. */
const ineligibilityFor = ({ targetOnlyPrimaryDevices, purpose, topicId }: Audience, channel: Sql): Sql =>
  ineligibility(
    sql`${targetOnlyPrimaryDevices}`,
    topicId === null || purpose === 'TRANSACTIONAL'
      ? undefined
      : isTopicDeclined({ topicId: sql`${topicId}::uuid`, userId: sql`r.user_id`, channel }),
  );

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
  audience: PeopleAudience,
  userIds: readonly string[],
): Promise<void> {
  const { channels, configured, fits } = audience;
  const wanted = channels.length > 0 ? channels : [null];
  const recipientChannels = wanted.map((channel) => channel && recipientChannelOf(channel));
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, status, reason)
    select
      uuid_v7(), ${audience.notificationId}::uuid, target_key, channel, user_id, recipient_id,
      case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
    from (
      select
        case
          when r.id is null then md5(concat(audience.user_id, wanted.channel))::uuid
          -- The same phone may get an SMS too.
          when r.channel <> wanted.channel then md5(concat(r.id, wanted.channel))::uuid
          else r.id
        end as target_key,
        coalesce(wanted.channel, r.channel) as channel,
        audience.user_id,
        r.id as recipient_id,
        ${ineligibilityFor(audience, sql`coalesce(wanted.channel, r.channel)`)} as reason
      from unnest(${userIds}::uuid[]) as audience (user_id)
      join users u on u.id = audience.user_id
      cross join unnest(${wanted}::channel[], ${recipientChannels}::channel[]) as wanted (channel, recipient_channel)
      left join recipients r on r.user_id = audience.user_id
        and (r.channel = wanted.recipient_channel or (wanted.channel is null and r.channel = any(${configured}::channel[])))
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
  audience: Audience,
  installationIds: readonly string[],
): Promise<void> {
  await tx.$executeRaw(sql`
    insert into deliveries (id, notification_id, target_key, channel, user_id, recipient_id, is_broadcast, status, reason)
    select
      uuid_v7(), ${audience.notificationId}::uuid, coalesce(recipient_id, md5(installation_id::text)::uuid), 'PUSH', user_id,
      recipient_id, true, case when reason is null then 'QUEUED' else 'DISCARDED' end::delivery_status, reason
    from (
      select
        meant.id as installation_id, r.id as recipient_id, i.user_id,
        ${ineligibilityFor(audience, sql`r.channel`)} as reason
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
