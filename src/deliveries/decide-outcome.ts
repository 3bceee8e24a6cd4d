import type { SendOutcome } from '../channels/channel.ts';
import type { Outcome } from './write-outcomes.ts';

/** Sends begun before a delivery is given up. @default 8 */
const attemptsMax = 8;
/** @default 2_000 // 2 seconds before the second attempt, doubled from there on */
const firstRetryMs = 2_000;
/** @default 600_000 // 10 minutes */
const retryMsMax = 600_000;
/** @default 30 // seconds until a channel that was down is tried again */
const channelDownSeconds = 30;

/**
 * What a channel's answer means for the delivery. Pure but for the jitter (`random`, 0 to 1), which keeps a batch that
 * failed at once from coming back at once.
 */
export function decideOutcome(
  delivery: { id: string; attempts: number; channel: string },
  outcome: Exclude<SendOutcome, { kind: 'channelDown' }>,
  random: number,
): Outcome {
  const { providerCode } = outcome;
  const base = { deliveryId: delivery.id, providerCode };
  switch (outcome.kind) {
    case 'accepted':
      return { ...base, status: 'SENT', reason: null };
    case 'rejected':
      return { ...base, status: outcome.reason === 'HARD_BOUNCE' ? 'BOUNCED' : 'FAILED', reason: outcome.reason };
    case 'gone':
      return delivery.channel === 'PUSH'
        ? { ...base, status: 'FAILED', reason: 'ADDRESS_GONE' }
        : { ...base, status: 'BOUNCED', reason: 'HARD_BOUNCE' };
    case 'retry': {
      if (delivery.attempts >= attemptsMax) return { ...base, status: 'FAILED', reason: 'PROVIDER_UNAVAILABLE' };
      const backoffMs = Math.min(retryMsMax, firstRetryMs * 2 ** (delivery.attempts - 1)) * (0.5 + random);
      return {
        ...base,
        status: 'QUEUED',
        reason: null,
        delaySeconds: Math.max(outcome.retryAfterMs ?? 0, backoffMs) / 1000,
      };
    }
  }
}

/** How long deliveries wait for a channel that is down; they are given back and the attempt does not count. */
export const channelDownDelaySeconds = channelDownSeconds;
