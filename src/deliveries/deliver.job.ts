import { z } from 'zod';
import { newId } from '../ids.ts';
import { addJob, type Job } from '../queue/job.ts';
import { sql } from '../storage/database.ts';
import { claimDue } from './claim.ts';
import { contentSchema } from './content.ts';
import { sendBatch } from './send-batch.ts';
import type { Worker } from './worker.ts';

/** @default 200 // deliveries a claim */
const deliveriesPerBatch = 200;

/**
 * Sends a notification's due deliveries, a batch a claim, until none is due. Several workers share one notification: each
 * claims what the others have not. What is to be tried again later brings the job back at that time.
 */
export const deliverJob: Job<Worker, { notificationId: string }> = {
  name: 'deliver',
  payload: z.object({ notificationId: z.uuid() }),
  async run(worker, { notificationId }) {
    const notification = await worker.db.notification.findUnique({ where: { id: notificationId } });
    if (!notification) return;
    const content = contentSchema.parse(notification.content);
    while (!worker.signal.aborted) {
      await expireOverdue(worker, notificationId);
      const claim = await claimDue(worker.db, {
        notificationId,
        token: newId(),
        limit: deliveriesPerBatch,
        leaseSeconds: worker.leaseSeconds,
      });
      if (claim.deliveryIds.length === 0) break;
      await sendBatch(worker, {
        claim,
        notification: { id: notificationId, content, expiresAt: notification.expiresAt },
      });
    }
    await comeBackWhenDue(worker, notificationId);
  },
};

/** Ends what is still queued when its time to live has passed. */
export async function expireOverdue({ db, bus }: Pick<Worker, 'db' | 'bus'>, notificationId: string): Promise<void> {
  const count = await db.$executeRaw(sql`
    update deliveries d set status = 'EXPIRED', reason = 'TTL_PASSED', status_at = now()
    from notifications n
    where n.id = ${notificationId}::uuid and n.expires_at <= now() and d.notification_id = n.id and d.status = 'QUEUED'
  `);
  if (count > 0) bus.wake();
}

async function comeBackWhenDue({ db }: Worker, notificationId: string): Promise<void> {
  const [row] = await db.$queryRaw<{ due_at: Date | null }[]>(sql`
    select min(next_attempt_at) as due_at from deliveries where notification_id = ${notificationId}::uuid and status = 'QUEUED'
  `);
  if (!row?.due_at) return;
  await addJob(db, deliverJob, { notificationId }, { runAt: row.due_at, key: `deliver again ${notificationId}` });
}
