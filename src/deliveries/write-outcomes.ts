import type { DeliveryReason, DeliveryStatus } from '../generated/prisma/enums.ts';
import { type Database, sql } from '../storage/database.ts';

/** How one claimed delivery ended, or that it is to be tried again. */
export interface Outcome {
  deliveryId: string;
  /** QUEUED: again, in `delaySeconds`. */
  status: Extract<DeliveryStatus, 'QUEUED' | 'SENT' | 'FAILED' | 'BOUNCED' | 'DISCARDED' | 'EXPIRED' | 'CANCELLED'>;
  reason: DeliveryReason | null;
  providerCode: string | null;
  delaySeconds?: number;
}

/**
 * Writes the outcomes of one claim in one statement, with their events and counts (by trigger). What the claim has lost
 * meanwhile is left alone.
 */
export async function writeOutcomes(
  db: Pick<Database, '$executeRaw'>,
  token: string,
  outcomes: readonly Outcome[],
): Promise<void> {
  if (outcomes.length === 0) return;
  await db.$executeRaw(sql`
    update deliveries d set
      status = outcome.status, reason = outcome.reason, provider_code = outcome.provider_code, status_at = now(),
      claim_token = null, claim_expires_at = null, next_attempt_at = now() + make_interval(secs => outcome.delay_seconds)
    from unnest(
      ${outcomes.map(({ deliveryId }) => deliveryId)}::uuid[],
      ${outcomes.map(({ status }) => status)}::delivery_status[],
      ${outcomes.map(({ reason }) => reason)}::delivery_reason[],
      ${outcomes.map(({ providerCode }) => providerCode)}::text[],
      ${outcomes.map(({ delaySeconds }) => delaySeconds ?? 0)}::double precision[]
    ) as outcome (id, status, reason, provider_code, delay_seconds)
    where d.id = outcome.id and d.claim_token = ${token}::uuid and d.status = 'SENDING'
  `);
}
