import { deliverJob } from '../deliveries/deliver.job.ts';
import { endQueuedPage } from '../deliveries/end-queued.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { addJob } from '../queue/job.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { readProgress } from './progress.ts';

/** What a caller calls off. */
export interface CancelRequest {
  principal: string;
  notificationId: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Calls a notification off: from the commit on nothing more of it begins to be sent. A scheduled one is never fanned out, a
 * fan-out that goes on ends; what is queued ends as CANCELLED, the first of it here and the rest by a job, and what a worker holds
 * ends so when its turn comes. What was begun before may still arrive. Of one that is called off already, nothing changes.
 *
 * @throws DomainError `NOT_FOUND`, `STATE_CONFLICT` (nothing was left to send), `IDEMPOTENCY_KEY_REUSED`
 */
export function cancelNotification(
  deployment: Deployment,
  { principal, notificationId, idempotencyKey }: CancelRequest,
): Promise<{ notificationId: string }> {
  const about = { principal, mutation: 'cancelNotification', idempotencyKey, input: { notificationId } };
  return write(deployment, about, async (tx) => {
    if (await lockToCancel(tx, notificationId)) {
      await tx.$executeRaw(sql`
        update notifications set
          cancelled_at = now(), fan_out_finished_at = coalesce(fan_out_finished_at, now()), fan_out_cursor = null
        where id = ${notificationId}::uuid
      `);
      await addJob(tx, deliverJob, { notificationId });
      await endQueuedPage(tx, notificationId);
    }
    return { notificationId };
  });
}

/** Waits for a page of its fan-out that is being made. False: it is called off already. */
async function lockToCancel(tx: Transaction, notificationId: string): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ is_cancelled: boolean }[]>(sql`
    select cancelled_at is not null as is_cancelled from notifications where id = ${notificationId}::uuid
    for no key update
  `);
  if (!row) throw new DomainError('NOT_FOUND', 'There is no such notification.', ['notification']);
  if (row.is_cancelled) return false;
  const progress = await readProgress(tx, notificationId);
  if (!progress?.isComplete) return true;
  throw new DomainError('STATE_CONFLICT', 'Nothing of it is left to send.', ['notification']);
}
