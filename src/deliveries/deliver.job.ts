import { z } from 'zod';
import { contentSchema, sendValuesSchema } from '../content/content.ts';
import { newId } from '../ids.ts';
import { addJob, type Job } from '../queue/job.ts';
import { sql } from '../storage/database.ts';
import { claimDue } from './claim.ts';
import { endQueued } from './end-queued.ts';
import { fallBackKey, fallBackTask } from './fall-back-task.ts';
import { readFrequencyCap } from './frequency-cap.ts';
import { hostsWrittenIn } from './message-links.ts';
import { sendBatch } from './send-batch.ts';
import type { Worker } from './worker.ts';

/** @default 200 // deliveries a claim */
const deliveriesPerBatch = 200;

/**
 * Sends one batch of a notification's due deliveries: a large notification never keeps a small one waiting for longer than a
 * batch. Where more are due, the next job is there before the batch is sent, for whoever has time: several jobs and workers
 * share one notification, as each claims what the others have not. What is to be tried again later brings the job back at that
 * time.
 */
export const deliverJob: Job<Worker, { notificationId: string }> = {
  name: 'deliver',
  payload: z.object({ notificationId: z.uuid() }),
  async run(worker, { notificationId }) {
    const notification = await worker.db.notification.findUnique({ where: { id: notificationId } });
    if (!notification) return;
    const content = contentSchema.parse(notification.content);
    await endQueued(worker, notificationId);
    if (notification.cancelledAt !== null) return comeBackWhenDue(worker, notificationId);
    await worker.pauses.refresh();
    const claim = await claimDue(worker.db, {
      notificationId,
      token: newId(),
      limit: deliveriesPerBatch,
      leaseSeconds: worker.leaseSeconds,
      pausedChannels: [...worker.pauses.listPaused(), ...worker.rates.listBusy()],
    });
    const mayHaveMore = claim.deliveryIds.length === deliveriesPerBatch;
    if (mayHaveMore) await addJob(worker.db, deliverJob, { notificationId });
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
    if (!mayHaveMore) await comeBackWhenDue(worker, notificationId);
  },
};

/** How long what a busy channel keeps waiting is left alone, and what other jobs are sending. @default 1_000 // 1 second */
const busyMs = 1_000;

/**
 * For what a paused channel keeps waiting, when it is tried again. Where none is, the index knows what is due next. What other jobs
 * are sending may come back to the queue: of jobs that run beside each other the first to find nothing looks after the rest.
 */
async function comeBackWhenDue({ db, pauses, rates }: Worker, notificationId: string): Promise<void> {
  const paused = pauses.listPaused();
  const busy = rates.listBusy();
  const dueAt =
    paused.length + busy.length === 0
      ? sql`next_attempt_at`
      : sql`case
          when channel = any(${paused}::channel[])
            then greatest(next_attempt_at, now() + make_interval(secs => ${pauses.pauseMs / 1000}))
          when channel = any(${busy}::channel[])
            then greatest(next_attempt_at, now() + make_interval(secs => ${busyMs / 1000}))
          else next_attempt_at
        end`;
  const [row] = await db.$queryRaw<{ due_at: Date | null }[]>(sql`
    select least(
      (select min(${dueAt}) from deliveries where notification_id = ${notificationId}::uuid and status = 'QUEUED'),
      (
        select now() + make_interval(secs => ${busyMs / 1000}) from notification_counts
        where notification_id = ${notificationId}::uuid and status = 'SENDING' and current > 0
      )
    ) as due_at
  `);
  if (!row?.due_at) return;
  await addJob(db, deliverJob, { notificationId }, { runAt: row.due_at, key: `deliver again ${notificationId}` });
}
