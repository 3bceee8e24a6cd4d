import { z } from 'zod';
import { Channel, DeliveryReason, Platform } from '../generated/prisma/enums.ts';
import { idSchema } from '../ids.ts';
import { camelCaseKeys, sql, type Transaction } from '../storage/database.ts';
import { isTopicDeclined } from '../topics/topic-declined.ts';
import { ineligibility } from './eligibility.ts';
import { zoneOf } from './zone.ts';

const dueDeliverySchema = z.object({
  id: idSchema,
  /** Sends begun, counting this one, unless it is refused or has to wait. */
  attempts: z.number(),
  /** How often it was queued again after an end. */
  replays: z.number(),
  channel: z.enum(Channel),
  platform: z.enum(Platform).nullable(),
  userId: idSchema.nullable(),
  /** EMAIL, SMS: the address in normal form. */
  address: z.string().nullable(),
  /** PUSH: the sealed address. */
  addressCipher: z.instanceof(Uint8Array).nullable(),
  /** PUSH: when the installation last registered it; null: nobody knows. */
  addressRegisteredAt: z.date().nullable(),
  installationId: idSchema.nullable(),
  recipientId: idSchema.nullable(),
  /** PUSH: the app of the installation. */
  appId: idSchema.nullable(),
  /** When its time to live passes, where that is counted from the user's own time; null: with its notification's. */
  expiresAt: z.date().nullable(),
  /** Why it must not be sent after all. */
  refusal: z.enum(DeliveryReason).nullable(),
  /** Until the quiet hours end in which it would come; null: it may be sent now. */
  waitSeconds: z.number().nullable(),
});

/** A claimed delivery with all that a channel needs, as it is right now. */
export type DueDelivery = z.infer<typeof dueDeliverySchema>;

// A recipient's row says whose it is, but an inbox stays with its tombstone.
const isDeclined = sql`n.purpose <> 'TRANSACTIONAL' and ${isTopicDeclined({
  topicId: sql`n.topic_id`,
  userId: sql`coalesce(owner.merged_into_id, owner.id)`,
  channel: sql`d.channel`,
})}`;

const zone = zoneOf({
  profile: sql`coalesce(owner.time_zone, u.time_zone)`,
  userId: sql`coalesce(owner.merged_into_id, owner.id, u.merged_into_id, u.id)`,
});

/**
 * Begins to send claimed deliveries: reads each as it is right now, counts the attempt, and decides again whether it may
 * be sent: unless it was called off, in its time only, to a user who was not erased, a person-targeted one only while the
 * recipient is still that person's (merges followed), each only while the recipient is there and can be reached. What comes in
 * quiet hours has to wait. What the claim has lost meanwhile is left out. In a transaction, which begins them by its commit.
 */
export async function beginSends(
  db: Pick<Transaction, '$queryRaw'>,
  {
    token,
    deliveryIds,
    leaseSeconds,
    cappedIds = [],
  }: {
    token: string;
    deliveryIds: readonly string[];
    leaseSeconds: number;
    /** Those to users who have had as many messages as they may have. */
    cappedIds?: readonly string[];
  },
): Promise<DueDelivery[]> {
  // A statement of its own: who takes an address away from its person locks what is claimed for it, so the next statement sees
  // either that it is away, or is seen to have begun.
  await db.$queryRaw(sql`
    select id from deliveries
    where id = any(${[...deliveryIds]}::uuid[]) and claim_token = ${token}::uuid
    order by id
    for no key update
  `);
  const rows = await db.$queryRaw<object[]>(sql`
    with held as (
      select * from deliveries where id = any(${[...deliveryIds]}::uuid[]) and claim_token = ${token}::uuid
    ),
    due as (
      select
        d.id, i.platform, r.address, i.address_cipher, i.address_registered_at, i.app_id, r.installation_id, own.expires_at,
        case when n.quiet_hours is not null then extract(
          epoch from quiet_until(
            now(), own.zone, (n.quiet_hours ->> 'from')::time, (n.quiet_hours ->> 'to')::time
          ) - now()
        ) end::float8 as wait_seconds,
        coalesce(
          case when n.cancelled_at is not null then 'CALLER_CANCELLED'::delivery_reason end,
          case when least(n.expires_at, own.expires_at) <= now() then 'TTL_PASSED'::delivery_reason end,
          -- What was addressed to an installation still goes there, if it has left the user before that was erased.
          case when d.user_id is not null and u.id is null and (r.id is null or not d.is_broadcast)
            then 'ERASED'::delivery_reason end,
          case when d.recipient_id is not null and r.id is null then 'ADDRESS_GONE'::delivery_reason end,
          case when not d.is_broadcast and coalesce(owner.merged_into_id, owner.id) <> coalesce(u.merged_into_id, u.id)
            then 'DEPERSONALIZED'::delivery_reason end,
          ${ineligibility(sql`n.target_only_primary_devices`, isDeclined)},
          case when d.id = any(${[...cappedIds]}::uuid[]) then 'FREQUENCY_CAPPED'::delivery_reason end
        ) as refusal
      from held d
      join notifications n on n.id = d.notification_id
      left join users u on u.id = d.user_id
      left join recipients r on r.id = d.recipient_id
      -- An inbox stays with its tombstone.
      left join users owner on owner.id = r.user_id
      left join installations i on i.id = r.installation_id
      cross join lateral (
        select zone, case when n.local_time and d.replays = 0
          then at_wall_clock(n.send_at at time zone 'UTC', zone) + make_interval(secs => n.ttl_seconds)
        end as expires_at
        from (select case when n.local_time or n.quiet_hours is not null then ${zone} end as zone) place
      ) own
    )
    update deliveries d set
      attempts = d.attempts + case when is_begun then 1 else 0 end,
      begun_at = case when is_begun then now() else d.begun_at end,
      claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    from due cross join lateral (select due.refusal is null and due.wait_seconds is null as is_begun) turn
    where d.id = due.id
    returning
      d.id, d.attempts, d.replays, d.channel::text, due.platform::text, d.user_id, due.address, due.address_cipher,
      due.address_registered_at, due.app_id, due.installation_id, d.recipient_id, due.expires_at, due.refusal::text,
      due.wait_seconds
  `);
  return rows.map((row) => dueDeliverySchema.parse(camelCaseKeys<unknown>(row)));
}
