import { reasonWords } from '../../deliveries/reason-words.ts';
import type { Delivery, DeliveryAttempt, DeliveryEvent, Notification } from '../../generated/prisma/client.ts';
import type { Channel, DeliveryEventStatus } from '../../generated/prisma/enums.ts';

/** One thing that happened to a delivery. */
export interface Step {
  at: Date;
  /** A `DeliveryEventStatus`, or RETRY: an attempt that was put off. */
  code: DeliveryEventStatus | 'RETRY';
  text: string;
  providerCode: string | null;
}

/** What is to come, if anything. */
export interface NextStep {
  code:
    | 'CALLED_OFF'
    | 'EXPIRING'
    | 'QUIET_HOURS'
    | 'LOCAL_TIME'
    | 'RETRYING'
    | 'PAUSED'
    | 'WAITING'
    | 'UNDER_WAY'
    | 'FALLBACK';
  /** When, as far as it is known; null: soon. */
  at: Date | null;
  text: string;
}

/** What is known of a delivery. */
export interface Facts {
  delivery: Delivery;
  notification: Notification;
  events: readonly Pick<DeliveryEvent, 'status' | 'reason' | 'at'>[];
  retries: readonly DeliveryAttempt[];
  /** When the quiet hours end that it is in; null: it is in none. */
  quietUntil: Date | null;
  /** When the provider is tried again whose pause keeps it waiting; null: none does. */
  pausedUntil: Date | null;
  /** What follows by another channel, should this one not do; null: nothing. */
  fallback: { nextChannel: Channel; dueAt: Date | null } | null;
  now: Date;
}

const eventWords: Record<DeliveryEventStatus, string> = {
  QUEUED: 'It was made, and waited for its turn.',
  SENT: 'The provider took it over.',
  DELIVERED: 'It arrived.',
  OPENED: 'It was opened.',
  CLICKED: 'Something in it was clicked.',
  DISMISSED: 'It was put away unopened.',
  FAILED: 'It could not be sent.',
  BOUNCED: 'It came back.',
  DISCARDED: 'It was not sent, on purpose.',
  EXPIRED: 'It was not sent in time.',
  CANCELLED: 'It was called off.',
};

/** What happened, oldest first: events, and between them the attempts that were put off. Pure. */
export function tellSteps({ delivery, events, retries }: Facts): Step[] {
  const told = events.map(({ status, reason, at }, index): Step => {
    const isAgain = status === 'QUEUED' && index > 0;
    const words = isAgain ? 'It was queued again, by a replay.' : eventWords[status];
    // Queued again, it may hold the word for an attempt, which is a step of its own.
    const isLast =
      status !== 'QUEUED' &&
      status === delivery.status &&
      index === events.findLastIndex((event) => event.status === status);
    return {
      at,
      code: status,
      text: reason === null ? words : `${words} ${reasonWords[reason]}`,
      providerCode: isLast ? delivery.providerCode : null,
    };
  });
  const putOff = retries.map(({ attempt, at, providerCode }): Step => {
    const word = providerCode === null ? '' : ` (${providerCode})`;
    const text =
      attempt === null
        ? `The provider takes nothing at the moment${word}: this attempt does not count.`
        : `Attempt ${attempt} did not get through${word}.`;
    return { at, code: 'RETRY', text, providerCode };
  });
  return [...told, ...putOff].toSorted((a, b) => a.at.getTime() - b.at.getTime());
}

/** What comes next; null: nothing, but for receipts. Pure. */
export function tellNext(facts: Facts): NextStep | null {
  const { delivery, fallback } = facts;
  if (delivery.status === 'QUEUED') return tellTurn(facts);
  if (delivery.status === 'SENDING') {
    const text = 'A worker is sending it; should that worker die, another one takes over.';
    return { code: 'UNDER_WAY', at: delivery.claimExpiresAt, text };
  }
  if (fallback === null || !delivery.fallsBack) return null;
  const { nextChannel, dueAt } = fallback;
  const text = `Unless it is known to be enough by then, ${nextChannel} follows.`;
  return { code: 'FALLBACK', at: dueAt, text };
}

function tellTurn({ delivery, notification, quietUntil, pausedUntil, now }: Facts): NextStep {
  const { nextAttemptAt: at } = delivery;
  if (notification.cancelledAt !== null) return { code: 'CALLED_OFF', at: null, text: 'It is about to be called off.' };
  if (notification.expiresAt <= now) return { code: 'EXPIRING', at: null, text: 'Its time to live has passed.' };
  if (pausedUntil !== null) {
    const text = 'The provider that is to send it is down; one delivery tries it then.';
    return { code: 'PAUSED', at: pausedUntil, text };
  }
  if (at > now && delivery.attempts > 0) return { code: 'RETRYING', at, text: 'It is tried again then.' };
  if (at > now && quietUntil !== null) {
    return { code: 'QUIET_HOURS', at, text: 'It waits for the end of the quiet hours where the user is.' };
  }
  if (at > now && notification.localTime) {
    return {
      code: 'LOCAL_TIME',
      at,
      text: 'It waits for the time of day at which it is to be sent where the user is.',
    };
  }
  if (at > now) return { code: 'WAITING', at, text: 'It waits until then.' };
  return { code: 'WAITING', at: null, text: 'It is due: it waits for a worker.' };
}
