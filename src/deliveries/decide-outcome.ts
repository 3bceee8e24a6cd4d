import type { RejectionReason, SendOutcome } from '../channels/channel.ts';
import type { DeliveryReason, DeliveryStatus } from '../generated/prisma/enums.ts';
import type { DueDelivery } from './begin-sends.ts';
import type { Outcome } from './write-outcomes.ts';

/** Sends begun before a delivery is given up, unless its time to live is over before: in about 40 minutes. @default 12 */
export const attemptsMax = 12;
/** @default 2_000 // 2 seconds before the second attempt, doubled from there on */
const firstRetryMs = 2_000;
/** @default 600_000 // 10 minutes */
const retryMsMax = 600_000;
/** @default 1_000 // 1 second, where a provider says that messages come too fast and not for how long */
const throttledMs = 1_000;

const rejectionStatuses = {
  PROVIDER_REJECTED: 'FAILED',
  RENDER_FAILED: 'FAILED',
  HARD_BOUNCE: 'BOUNCED',
  OPTED_OUT: 'DISCARDED',
} as const satisfies Record<RejectionReason, Outcome['status']>;

/** How long a provider is left alone that says that messages come too fast, in milliseconds: a second at least. */
export const toHoldMs = ({ retryAfterMs = 0 }: { retryAfterMs?: number }): number =>
  Math.max(retryAfterMs, throttledMs);

/** Up to a quarter more, so that those who were told the same time do not come back in the same moment. */
export const spreadMs = (waitMs: number, random: number): number => waitMs * (1 + random / 4);

/**
 * What a channel's answer means for the delivery. Pure but for the jitter (`random`, 0 to 1), which keeps a batch that
 * failed at once from coming back at once.
 *
 * @param channelDownMs how long a delivery waits for a channel that is down; that attempt does not count.
 */
export function decideOutcome(
  delivery: Pick<DueDelivery, 'id' | 'attempts' | 'channel' | 'addressRegisteredAt'>,
  sent: SendOutcome,
  { random, channelDownMs }: { random: number; channelDownMs: number },
): Outcome {
  const outcome = isOutdated(sent, delivery) ? { ...sent, kind: 'retry' as const } : sent;
  const { providerCode } = outcome;
  const base = { deliveryId: delivery.id, providerCode };
  switch (outcome.kind) {
    case 'accepted':
      return { ...base, status: 'SENT', reason: null, providerMessageId: outcome.providerMessageId };
    case 'rejected':
      return { ...base, status: rejectionStatuses[outcome.reason], reason: outcome.reason };
    case 'gone':
      return delivery.channel === 'PUSH'
        ? { ...base, status: 'FAILED', reason: 'ADDRESS_GONE' }
        : { ...base, status: 'BOUNCED', reason: 'HARD_BOUNCE' };
    case 'channelDown':
      return { ...base, status: 'QUEUED', reason: null, delayMs: channelDownMs, isUncounted: true };
    case 'retry': {
      if (outcome.isThrottled) {
        return {
          ...base,
          status: 'QUEUED',
          reason: null,
          delayMs: spreadMs(toHoldMs(outcome), random),
          isUncounted: true,
        };
      }
      if (delivery.attempts >= attemptsMax) {
        // Of a push it is not known whether its device or its service puts it off.
        return outcome.isMessageOnly && delivery.channel !== 'PUSH'
          ? { ...base, status: 'BOUNCED', reason: 'SOFT_BOUNCE' }
          : { ...base, status: 'FAILED', reason: 'PROVIDER_UNAVAILABLE' };
      }
      const backoffMs = Math.min(retryMsMax, firstRetryMs * 2 ** (delivery.attempts - 1)) * (0.5 + random);
      return {
        ...base,
        status: 'QUEUED',
        reason: null,
        delayMs: Math.max(spreadMs(outcome.retryAfterMs ?? 0, random), backoffMs),
      };
    }
  }
}

/**
 * Whether the provider calls an address gone that the installation has registered since: what it says is of the past, and
 * may be put right soon.
 */
export function isOutdated(
  sent: SendOutcome,
  { addressRegisteredAt }: Pick<DueDelivery, 'addressRegisteredAt'>,
): boolean {
  return (
    sent.kind === 'gone' && sent.since !== undefined && addressRegisteredAt !== null && addressRegisteredAt > sent.since
  );
}

const refusalStatuses: Partial<Record<DeliveryReason, 'EXPIRED' | 'CANCELLED'>> = {
  TTL_PASSED: 'EXPIRED',
  CALLER_CANCELLED: 'CANCELLED',
  DEPERSONALIZED: 'CANCELLED',
  ERASED: 'CANCELLED',
};

/** The status in which a delivery ends that is not sent for this reason. Pure. */
export function decideRefusal(reason: DeliveryReason): Extract<DeliveryStatus, 'DISCARDED' | 'EXPIRED' | 'CANCELLED'> {
  return refusalStatuses[reason] ?? 'DISCARDED';
}
