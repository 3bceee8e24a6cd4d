import { z } from 'zod';
import { Channel, DeliveryReason, Platform } from '../generated/prisma/enums.ts';
import { camelCaseKeys, type Database, sql } from '../storage/database.ts';
import { ineligibility } from './eligibility.ts';

/** Deliveries that one worker holds for a while, fenced by the token: who has lost the claim can write no outcome. */
export interface Claim {
  token: string;
  deliveryIds: string[];
}

/** Claims up to `limit` deliveries of a notification that are due. Takes none that another worker is taking. */
export async function claimDue(
  db: Pick<Database, '$queryRaw'>,
  {
    notificationId,
    token,
    limit,
    leaseSeconds,
  }: { notificationId: string; token: string; limit: number; leaseSeconds: number },
): Promise<Claim> {
  const rows = await db.$queryRaw<{ id: string }[]>(sql`
    with due as (
      select id from deliveries
      where notification_id = ${notificationId}::uuid and status = 'QUEUED' and next_attempt_at <= now()
      order by next_attempt_at, id
      limit ${limit}
      for no key update skip locked
    )
    update deliveries d set
      status = 'SENDING', claim_token = ${token}::uuid, attempts = attempts + 1,
      claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    from due
    where d.id = due.id
    returning d.id
  `);
  return { token, deliveryIds: rows.map((row) => row.id) };
}

/** Goes on holding what the claim still holds. */
export async function renewClaim(db: Pick<Database, '$executeRaw'>, claim: Claim, leaseSeconds: number): Promise<void> {
  await db.$executeRaw(sql`
    update deliveries set claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    where id = any(${claim.deliveryIds}::uuid[]) and claim_token = ${claim.token}::uuid and status = 'SENDING'
  `);
}

/** Gives back deliveries that were claimed but not begun: they are due at once, and this attempt does not count. */
export async function releaseClaim(
  db: Pick<Database, '$executeRaw'>,
  token: string,
  { deliveryIds, delaySeconds = 0 }: { deliveryIds: readonly string[]; delaySeconds?: number },
): Promise<void> {
  await db.$executeRaw(sql`
    update deliveries set
      status = 'QUEUED', claim_token = null, claim_expires_at = null, attempts = attempts - 1,
      next_attempt_at = now() + make_interval(secs => ${delaySeconds})
    where id = any(${deliveryIds}::uuid[]) and claim_token = ${token}::uuid and status = 'SENDING'
  `);
}

/**
 * Takes back what workers held that no longer renew: their deliveries are due again.
 *
 * @param all takes back every claim, for when it is known that no worker lives.
 */
export async function takeBackExpiredClaims(
  db: Pick<Database, '$executeRaw'>,
  { all }: { all: boolean },
): Promise<void> {
  await db.$executeRaw(sql`
    with expired as (
      select id from deliveries
      where status = 'SENDING' and (${all} or claim_expires_at < now())
      order by id
      for no key update skip locked
    )
    update deliveries d set status = 'QUEUED', claim_token = null, claim_expires_at = null, next_attempt_at = now()
    from expired
    where d.id = expired.id
  `);
}

const dueDeliverySchema = z.object({
  id: z.uuid(),
  attempts: z.number(),
  channel: z.enum(Channel),
  platform: z.enum(Platform).nullable(),
  userId: z.uuid().nullable(),
  /** EMAIL, SMS: the address in normal form. */
  address: z.string().nullable(),
  /** PUSH: the sealed address. */
  addressCipher: z.instanceof(Uint8Array).nullable(),
  installationId: z.uuid().nullable(),
  /** Why it must not be sent after all. */
  refusal: z.enum(DeliveryReason).nullable(),
});

/** A claimed delivery with all that a channel needs, as it is right now. */
export type DueDelivery = z.infer<typeof dueDeliverySchema>;

/**
 * Reads claimed deliveries right before they are sent, and decides again whether they may be: a person-targeted one only
 * while the recipient is still that person's (merges followed), each only while the recipient can be reached.
 */
export async function readDueDeliveries(
  db: Pick<Database, '$queryRaw'>,
  ids: readonly string[],
): Promise<DueDelivery[]> {
  const rows = await db.$queryRaw<object[]>(sql`
    select
      d.id, d.attempts, d.channel::text, i.platform::text, d.user_id, r.address, i.address_cipher, r.installation_id,
      coalesce(
        case when not d.is_broadcast and r.user_id <> coalesce(u.merged_into_id, u.id) then 'DEPERSONALIZED'::delivery_reason end,
        ${ineligibility}
      )::text as refusal
    from deliveries d
    left join users u on u.id = d.user_id
    left join recipients r on r.id = d.recipient_id
    left join installations i on i.id = r.installation_id
    where d.id = any(${ids}::uuid[]) and d.status = 'SENDING'
    order by d.id
  `);
  return rows.map((row) => dueDeliverySchema.parse(camelCaseKeys<unknown>(row)));
}
