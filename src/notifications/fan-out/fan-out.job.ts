import { z } from 'zod';
import { deliverJob } from '../../deliveries/deliver.job.ts';
import type { Worker } from '../../deliveries/worker.ts';
import type { Notification } from '../../generated/prisma/client.ts';
import type { Channel } from '../../generated/prisma/enums.ts';
import { holdUsers } from '../../identity/user-identity-store.ts';
import { addJob, type Job } from '../../queue/job.ts';
import { camelCaseKeys, sql, type Transaction } from '../../storage/database.ts';
import { inTransaction } from '../../storage/transaction.ts';
import { type FanOutCursor, fanOutCursorSchema, targetSchema } from '../target/target.ts';
import { toTiming } from './decide-deliveries.ts';
import {
  insertInstallationDeliveries,
  insertUnknownUserDeliveries,
  insertUserDeliveries,
} from './insert-deliveries.ts';
import { readPage } from './read-page.ts';

/**
 * Resolves one page of a notification's target into deliveries, in one transaction with the cursor and with the job for
 * the next page: a worker that dies is followed by one that goes on where it was, a page that is made twice adds nothing,
 * and a large audience never keeps a small one waiting for longer than a page.
 */
export const fanOutJob: Job<Worker, { notificationId: string }> = {
  name: 'fan-out',
  payload: z.object({ notificationId: z.uuid() }),
  async run(worker, { notificationId }) {
    const configured = await worker.channels.configuredChannels(worker.defaultAppId);
    await inTransaction(worker.db, (tx) => fanOutPage(tx, worker, { notificationId, configured }), 'ONCE');
    worker.bus.wake();
  },
};

/** At most one fan-out job of a notification waits. */
export const fanOutKey = (notificationId: string): string => `fan out ${notificationId}`;

async function fanOutPage(
  tx: Transaction,
  worker: Worker,
  { notificationId, configured }: { notificationId: string; configured: readonly Channel[] },
): Promise<void> {
  const notification = await lockUnfinished(tx, notificationId);
  if (!notification) return;
  const cursor = fanOutCursorSchema.parse(notification.fanOutCursor);
  const target = targetSchema.parse(notification.target);
  const { channels, createdAt } = notification;
  const page = await readPage(tx, { notificationId, target, cursor, channels, createdAt });
  await holdUsers(tx, page.userIds);
  await moveCursor(tx, { notificationId, next: page.next, leaseSeconds: worker.leaseSeconds });
  // Enqueued before the deliveries are inserted, as the delivery log's lock is to be the last one taken; a worker sees
  // both at the commit.
  if (page.next) await addJob(tx, fanOutJob, { notificationId }, { key: fanOutKey(notificationId) });
  await addJob(tx, deliverJob, { notificationId });
  const audience = { ...notification, notificationId, configured, timing: toTiming(notification) };
  // Installations first: one that is meant itself stays so, though its user is meant too.
  if (page.installationIds.length > 0) await insertInstallationDeliveries(tx, audience, page.installationIds);
  if (page.userIds.length > 0) {
    const people = { ...audience, meant: page.meant, onePerUser: target.onePerUser };
    await insertUserDeliveries(tx, people, { userIds: page.userIds, isBroadcast: target.everyone });
  }
  if (page.unknown.length > 0) await insertUnknownUserDeliveries(tx, notificationId, page.unknown);
}

/**
 * The notification, locked for this page, or null when its fan-out is finished, or is not to begin yet. Waits for who has it:
 * another worker's page, or an erase that withdraws a name from its target, takes moments, and nobody else would bring the job
 * back before the lease ends.
 */
async function lockUnfinished(tx: Transaction, notificationId: string): Promise<Notification | null> {
  const [row] = await tx.$queryRaw<object[]>(sql`
    select n.*, n.channels::text[] as channels from notifications n
    where id = ${notificationId}::uuid and fan_out_finished_at is null and starts_at <= now()
    for no key update
  `);
  return row ? camelCaseKeys<Notification>(row) : null;
}

async function moveCursor(
  tx: Transaction,
  { notificationId, next, leaseSeconds }: { notificationId: string; next: FanOutCursor | null; leaseSeconds: number },
): Promise<void> {
  await tx.$executeRaw(sql`
    update notifications set
      fan_out_cursor = ${next === null ? null : JSON.stringify(next)}::jsonb,
      fan_out_finished_at = case when ${next === null} then now() end,
      fan_out_claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    where id = ${notificationId}::uuid
  `);
}
