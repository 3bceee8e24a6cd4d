import type { DeliveryReason, DeliveryStatus } from '../generated/prisma/enums.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';

/** How one claimed delivery ended, or that it is to be tried again. */
export interface Outcome {
  deliveryId: string;
  /** QUEUED: again, in `delayMs`. */
  status: Extract<DeliveryStatus, 'QUEUED' | 'SENT' | 'FAILED' | 'BOUNCED' | 'DISCARDED' | 'EXPIRED' | 'CANCELLED'>;
  reason: DeliveryReason | null;
  providerCode: string | null;
  /** What the provider calls the message; absent: nothing else than the delivery's id. */
  providerMessageId?: string | undefined;
  /** Which variation of the content was sent, by its place. @default null: what is said to everybody, or nothing was sent */
  variation?: number | null;
  /** Milliseconds. @default 0 */
  delayMs?: number;
  /** The pause that puts it off. @default null: none */
  pauseId?: string | null;
  /** Takes the attempt back that was counted when the send began. @default false */
  isUncounted?: boolean;
}

/**
 * Writes the outcomes of one claim in one statement, with their events and counts (by trigger). What the claim has lost
 * meanwhile is left alone. Rows are locked in id order, as everywhere.
 */
export async function writeOutcomes(
  tx: Pick<Transaction, '$executeRaw'>,
  token: string,
  outcomes: readonly Outcome[],
): Promise<void> {
  if (outcomes.length === 0) return;
  // Most batches put nothing back: what only that needs is not sent, and need not be read.
  const putsBack = outcomes.some(({ status, isUncounted }) => status === 'QUEUED' || isUncounted);
  await tx.$executeRaw(sql`
    with held as (
      select given.*
      from unnest(
        ${outcomes.map(({ deliveryId }) => deliveryId)}::uuid[],
        ${outcomes.map(({ status }) => status)}::delivery_status[],
        ${outcomes.map(({ reason }) => reason)}::delivery_reason[],
        ${outcomes.map(({ providerCode }) => providerCode)}::text[],
        ${outcomes.map(({ variation }) => variation ?? null)}::int[],
        ${outcomes.map(({ providerMessageId }) => providerMessageId ?? null)}::text[]
        ${putsBack ? sql`, ${putBackColumns(outcomes)}` : sql``}
      ) as given (
        id, status, reason, provider_code, variation, provider_message_id
        ${putsBack ? sql`, delay_seconds, uncounted, pause_id` : sql``}
      )
      join deliveries d on d.id = given.id and d.claim_token = ${token}::uuid
      order by d.id
      for no key update of d
    )
    update deliveries d set
      status = held.status, reason = held.reason, provider_code = held.provider_code, variation = held.variation,
      status_at = now(),
      claim_token = null, claim_expires_at = null,
      provider_message_id = coalesce(held.provider_message_id, d.provider_message_id),
      ${putsBack ? putBack : sql`pause_id = null`}
    from held
    where d.id = held.id
  `);
}

const putBackColumns = (outcomes: readonly Outcome[]): Sql => sql`
  ${outcomes.map(({ delayMs }) => (delayMs ?? 0) / 1000)}::double precision[],
  ${outcomes.map(({ isUncounted }) => (isUncounted ? 1 : 0))}::int[],
  ${outcomes.map(({ pauseId }) => pauseId ?? null)}::uuid[]
`;

const putBack = sql`
  attempts = d.attempts - held.uncounted, pause_id = held.pause_id,
  next_attempt_at = now() + make_interval(secs => held.delay_seconds)
`;
