import { z } from 'zod';
import { contentSchema, sendValuesSchema } from '../content/content.ts';
import type { Notification } from '../generated/prisma/client.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { idSchema, newId } from '../ids.ts';
import { addJob, type Job } from '../queue/job.ts';
import type { Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import { type Claim, claimDue, releaseClaim } from './claim.ts';
import { endQueued } from './end-queued.ts';
import { fallBackKey, fallBackTask } from './fall-back-task.ts';
import { readFrequencyCap } from './frequency-cap.ts';
import { hostsWrittenIn } from './message-links.ts';
import { isBlocked, readNextTurn } from './next-turn.ts';
import { persist } from './persist.ts';
import { batchMs, sendBatch } from './send-batch.ts';
import type { Worker } from './worker.ts';

/** @default 256 // deliveries a claim: whole slices of `send-batch.ts` */
const deliveriesPerBatch = 256;

/** At most one such job waits of a notification that is due, whoever has found that. */
export const deliverKey = (notificationId: string): string => `deliver ${notificationId}`;

/**
 * Sends one batch of a notification's due deliveries: a large notification never keeps a small one waiting for longer than a
 * batch. Where more are due, the next job is there before the batch is sent, for whoever has time: several jobs and workers
 * share one notification, as each claims what the others have not. What a batch gives back, as it has taken its time, may have been
 * missed by the next job, which is there once more when the batch ends. What is to be tried again later brings the job back then.
 */
export const deliverJob: Job<Worker, { notificationId: string }> = {
  name: 'deliver',
  payload: z.object({ notificationId: idSchema }),
  async run(worker, { notificationId }) {
    const notification = await worker.db.notification.findUnique({ where: { id: notificationId } });
    if (!notification) return;
    const content = contentSchema.parse(notification.content);
    await endQueued(worker, notificationId);
    await worker.pauses.refresh();
    const blocked = listBlocked(worker, notificationId);
    if (notification.cancelledAt !== null || isBlocked({ channels: notification.channels, blocked })) {
      return comeBackWhenDue(worker, notification);
    }
    const claim = await claimBatch(worker, { notificationId, pausedChannels: [...blocked.keys()] });
    const { data = null, event } = sendValuesSchema.parse(notification);
    const { expiresAt, purpose, trackLinks, trackOpens } = notification;
    const wishes = { purpose, trackedHosts: trackLinks ? hostsWrittenIn([content, data]) : null, trackOpens };
    const values = { data, event: event?.properties ?? null };
    await sendBatch(worker, {
      claim,
      notification: {
        id: notificationId,
        content,
        ...values,
        expiresAt,
        wishes,
        topicId: notification.topicId,
        frequencyCap: readFrequencyCap(notification.frequencyCap),
      },
    });
    if (notification.orchestration === 'FALLBACK') {
      await addJob(worker.db, fallBackTask, { notificationId }, { key: fallBackKey(notificationId) });
    }
    if (claim.rest === 'NONE') await comeBackWhenDue(worker, notification);
    else await addJob(worker.db, deliverJob, { notificationId }, { key: againKey(notificationId) });
  },
};

/** At most one job that comes back to a notification waits. */
const againKey = (notificationId: string): string => `deliver again ${notificationId}`;

/**
 * Claims a batch, of each channel no more than goes within {@link batchMs}, in one transaction with the job for what may be left. When
 * nobody knows whether that was committed, as its answer was lost, the claim is given back: it would be held until its lease ends.
 */
async function claimBatch(
  worker: Worker,
  { notificationId, pausedChannels }: { notificationId: string; pausedChannels: readonly Channel[] },
): Promise<Claim> {
  const token = newId();
  const { leaseSeconds } = worker;
  const channelLimits = worker.rates.countWithin(batchMs);
  const wish = { notificationId, token, limit: deliveriesPerBatch, leaseSeconds, pausedChannels, channelLimits };
  try {
    return await inTransaction(worker.db, async (tx) => {
      const claim = await claimDue(tx, wish);
      if (claim.rest !== 'NONE') await addNext(tx, { notificationId, claim });
      return claim;
    });
  } catch (error) {
    await persist(worker, () => releaseClaim(worker.db, token, 'ALL'));
    throw error;
  }
}

/** Adds the next job, which works beside this one. It is the one that is there again at the end: no more than one of them waits. */
async function addNext(
  tx: Transaction,
  { notificationId, claim }: { notificationId: string; claim: Claim },
): Promise<void> {
  // One job keeps up with so low a rate, unless its provider is slow: then none of its sends waits, and the next one joins in.
  const runAt = claim.rest === 'LIMITED' ? { runAt: new Date(Date.now() + busySeconds * 1_000) } : {};
  await addJob(tx, deliverJob, { notificationId }, { key: againKey(notificationId), ...runAt });
}

/** After how long a busy channel is tried again. @default 1 // second */
const busySeconds = 1;

/** After how many seconds each channel by which nothing is sent at the moment may be tried again. */
function listBlocked({ pauses, rates }: Worker, notificationId: string): ReadonlyMap<Channel, number> {
  const busy = rates.listBusy(notificationId).map((channel) => [channel, busySeconds] as const);
  return new Map([...busy, ...pauses.listPaused().map((channel) => [channel, pauses.pauseMs / 1_000] as const)]);
}

/** Of jobs that run beside each other the first to find nothing looks after what the others put off. */
async function comeBackWhenDue(worker: Worker, { id: notificationId, channels }: Notification): Promise<void> {
  const runAt = await readNextTurn(worker.db, {
    notificationId,
    channels,
    blocked: listBlocked(worker, notificationId),
  });
  if (!runAt) return;
  await addJob(worker.db, deliverJob, { notificationId }, { runAt, key: againKey(notificationId) });
}
