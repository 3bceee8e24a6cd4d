import type { SendOutcome } from '../channels/channel.ts';
import type { Rendering } from '../content/render-content.ts';
import { renderDeliveries } from '../content/render-deliveries.ts';
import { inTransaction } from '../storage/transaction.ts';
import { beginSends, type DueDelivery } from './begin-sends.ts';
import { type Claim, releaseClaim, renewClaim } from './claim.ts';
import { decideOutcome, decideRefusal } from './decide-outcome.ts';
import { findCapped } from './frequency-cap.ts';
import { persist } from './persist.ts';
import { recordEnds, type SendEnd } from './record-ends.ts';
import { type NotificationToSend, type SentOne, sendOne } from './send-one.ts';
import type { Worker } from './worker.ts';
import type { Outcome } from './write-outcomes.ts';

/** Sends at once, for each job under way. @default 32 */
const concurrency = 32;

/**
 * How long a batch goes on: with a rate to keep to, or a slow provider, it would hold its job for minutes, and others' messages wait
 * for one. @default 5_000 // 5 seconds
 */
export const batchMs = 5_000;

/** One claim's deliveries, all of one notification. */
export interface Batch {
  claim: Claim;
  notification: NotificationToSend;
}

/**
 * Sends what a claim holds, a slice of {@link concurrency} at a time, or of what goes within a second: each slice is read (and its
 * right to be sent checked) right before, and its outcomes are written right after. Stops between slices when the worker stops, or
 * where {@link batchMs} are over; what has not begun then goes back to the queue. While the database is away it waits, for as long as
 * a claim holds: what was sent is to be known, and not sent again. After that the sweeper takes the claim back.
 */
export async function sendBatch(worker: Worker, { claim, notification }: Batch): Promise<void> {
  const renewal = setInterval(
    () => {
      renewClaim(worker.db, claim, worker.leaseSeconds).catch((err: unknown) => {
        worker.log.warn({ err, notificationId: notification.id }, 'A claim on deliveries could not be renewed.');
      });
    },
    (worker.leaseSeconds * 1000) / 3,
  );
  const endAt = performance.now() + batchMs;
  let rest = claim.deliveryIds;
  try {
    while (rest.length > 0 && !worker.signal.aborted && performance.now() < endAt) {
      const next = rest.slice(0, concurrency);
      const size = worker.rates.countTogether(next.flatMap((id) => claim.channelOf.get(id) ?? []));
      rest = rest.slice(size);
      await sendSlice(worker, { claim, notification }, next.slice(0, size));
    }
    await persist(worker, () => releaseClaim(worker.db, claim.token, rest));
  } catch (error) {
    // What this slice has nothing to do with is not to wait until the lease ends.
    await releaseClaim(worker.db, claim.token, rest).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(renewal);
  }
}

async function sendSlice(worker: Worker, { claim, notification }: Batch, ids: readonly string[]): Promise<void> {
  const due = await persist(worker, () => beginSlice(worker, { claim, notification }, ids));
  const toSend = due.filter(({ refusal, waitSeconds }) => refusal === null && waitSeconds === null);
  const rendering = await persist(worker, () =>
    renderDeliveries(
      worker,
      notification,
      toSend.map(({ id }) => id),
    ),
  );
  const facts = {
    'carillon.notification.id': notification.id,
    'carillon.deliveries': due.length,
    'carillon.channels': [...new Set(due.map(({ channel }) => channel))].sort().join(),
  };
  const ends = await worker.tracing.trace('send', facts, () =>
    Promise.all(due.map((delivery) => endOf(worker, { notification, delivery, rendering }))),
  );
  await persist(worker, () => recordEnds(worker.db, claim.token, ends));
  worker.bus.wake();
}

/** With a frequency cap, users are held while it is decided who has had enough. */
function beginSlice(
  { db, leaseSeconds }: Worker,
  { claim: { token }, notification: { id: notificationId, topicId, frequencyCap: cap } }: Batch,
  deliveryIds: readonly string[],
): Promise<DueDelivery[]> {
  return inTransaction(db, async (tx) => {
    const cappedIds = cap === null ? [] : await findCapped(tx, { notificationId, topicId, deliveryIds, cap });
    return beginSends(tx, { token, deliveryIds, leaseSeconds, cappedIds });
  });
}

/** A delivery of a notification that is to be sent, and what it says. */
interface Turn {
  notification: NotificationToSend;
  delivery: DueDelivery;
  rendering: (deliveryId: string) => Rendering;
}

async function endOf(worker: Worker, { notification, delivery, rendering }: Turn): Promise<SendEnd> {
  const { id: deliveryId, refusal } = delivery;
  if (refusal !== null) {
    const outcome = { deliveryId, status: decideRefusal(refusal), reason: refusal, providerCode: null };
    return { delivery, sent: null, outcome };
  }
  if (delivery.waitSeconds !== null) {
    const delayMs = delivery.waitSeconds * 1_000;
    return {
      delivery,
      sent: null,
      outcome: { deliveryId, status: 'QUEUED', reason: null, providerCode: null, delayMs },
    };
  }
  const said = rendering(deliveryId);
  const sent: SentOne | null =
    said.kind === 'rendered'
      ? await sendOne(worker, { ...notification, content: said.content }, delivery)
      : { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: said.code };
  if (sent === null) {
    const reason = 'CHANNEL_NOT_CONFIGURED' as const;
    const outcome = { deliveryId, status: 'DISCARDED' as const, reason, providerCode: null, isUncounted: true };
    return { delivery, sent, outcome };
  }
  if (sent.kind === 'putOff') {
    const { delayMs } = sent;
    const outcome = {
      deliveryId,
      status: 'QUEUED' as const,
      reason: null,
      providerCode: null,
      delayMs,
      isUncounted: true,
    };
    return { delivery, sent: null, outcome, pausedBy: sent.provider };
  }
  const outcome = { ...toOutcome(worker, delivery, sent), variation: said.variation };
  return { delivery, sent, outcome, ...(sent.kind === 'channelDown' && { pausedBy: sent.provider }) };
}

/** What was cut off because this process stops is due at once for the next one, and is never given up for that. */
function toOutcome(worker: Worker, delivery: DueDelivery, sent: SendOutcome): Outcome {
  if (sent.kind === 'retry' && !sent.isThrottled && worker.sendSignal.aborted) {
    return { deliveryId: delivery.id, status: 'QUEUED', reason: null, providerCode: sent.providerCode };
  }
  return decideOutcome(delivery, sent, { random: Math.random(), channelDownMs: worker.pauses.pauseMs });
}
