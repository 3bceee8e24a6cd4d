import { z } from 'zod';
import type { Configured } from '../../deliveries/app-channels.ts';
import { deliverJob } from '../../deliveries/deliver.job.ts';
import type { Worker } from '../../deliveries/worker.ts';
import type { Notification } from '../../generated/prisma/client.ts';
import { holdUsers } from '../../identity/user-identity-store.ts';
import { idSchema } from '../../ids.ts';
import { addJob, type Job } from '../../queue/job.ts';
import { camelCaseKeys, sql, type Transaction } from '../../storage/database.ts';
import { inTransaction } from '../../storage/transaction.ts';
import { toMeantSql } from '../target/meant-recipients.ts';
import {
  type FanOutCursor,
  fanOutCursorSchema,
  type Target,
  targetSchema,
  toAudienceFilter,
} from '../target/target.ts';
import { type Audience, toTiming } from './decide-deliveries.ts';
import {
  insertInstallationDeliveries,
  insertUnknownUserDeliveries,
  insertUserDeliveries,
  selectUsers,
} from './insert-deliveries.ts';
import { type AudienceCursor, cursorAfter, prepareAudiencePage, readNamed } from './read-page.ts';

/**
 * Resolves one page of a notification's target into deliveries, in one transaction with the cursor and with the job for
 * the next page: a worker that dies is followed by one that goes on where it was, a page that is made twice adds nothing,
 * and a large audience never keeps a small one waiting for longer than a page.
 */
export const fanOutJob: Job<Worker, { notificationId: string }> = {
  name: 'fan-out',
  payload: z.object({ notificationId: idSchema }),
  async run(worker, { notificationId }) {
    const configured = await worker.channels.findConfigured(worker.defaultAppId);
    let areNew = true;
    const page = (tx: Transaction) => {
      const request = { notificationId, configured, areNew };
      // Who has got something already makes the first attempt fail, and only then is it looked for: few notifications reach anybody
      // twice, by way of a merge or of two parts of their target.
      areNew = false;
      return fanOutPage(tx, worker, request);
    };
    await inTransaction(worker.db, page, 'ONCE');
    worker.bus.wake();
  },
};

/** At most one fan-out job of a notification waits. */
export const fanOutKey = (notificationId: string): string => `fan out ${notificationId}`;

async function fanOutPage(
  tx: Transaction,
  worker: Worker,
  { notificationId, configured, areNew }: { notificationId: string; configured: Configured; areNew: boolean },
): Promise<void> {
  const notification = await lockUnfinished(tx, notificationId);
  if (!notification) return;
  const cursor = fanOutCursorSchema.parse(notification.fanOutCursor);
  const target = targetSchema.parse(notification.target);
  const audience = { ...notification, notificationId, configured, timing: toTiming(notification) };
  // A worker sees it with the deliveries, at the commit.
  await addJob(tx, deliverJob, { notificationId });
  const made = { audience, target, areNew, usersPerPage: worker.usersPerPage };
  const next = cursor.phase === 'references' ? await fanOutNamed(tx, made) : await fanOutAudience(tx, made, cursor);
  // The insert has taken the delivery log's lock, after which nothing may wait: these two rows are this page's alone, the
  // notification's by `lockUnfinished`, the job's by its key.
  await moveCursor(tx, { notificationId, next, leaseSeconds: worker.leaseSeconds });
  if (next) await addJob(tx, fanOutJob, { notificationId }, { key: fanOutKey(notificationId) });
}

/** Whom deliveries are made for, and how. */
interface Making {
  audience: Notification & Audience & { notificationId: string };
  target: Target;
  /** As `Users.areNew` of `insert-deliveries.ts`. */
  areNew: boolean;
  usersPerPage: number;
}

async function fanOutNamed(tx: Transaction, { audience, target }: Making): Promise<FanOutCursor | null> {
  const { userIds, installationIds, unknown } = await readNamed(tx, target);
  await holdUsers(tx, userIds);
  // Installations first: one that is meant itself stays so, though its user is meant too.
  if (installationIds.length > 0) await insertInstallationDeliveries(tx, audience, installationIds);
  if (userIds.length > 0) {
    const people = { ...audience, meant: toMeantSql(target, null), onePerUser: target.onePerUser };
    await insertUserDeliveries(tx, people, { users: selectUsers(userIds), isBroadcast: target.everyone });
  }
  if (unknown.length > 0) await insertUnknownUserDeliveries(tx, audience.notificationId, unknown);
  const taken = userIds.length + installationIds.length;
  return toAudienceFilter(target) ? { phase: 'segments', after: null, taken } : null;
}

/**
 * Nobody is locked: the page is of one moment, and what becomes of its users between that and the commit is told when a delivery
 * is begun (`deliveries/begin-sends.ts`), or by the second phase.
 */
async function fanOutAudience(
  tx: Transaction,
  { audience, target, areNew, usersPerPage }: Making,
  cursor: AudienceCursor,
): Promise<FanOutCursor | null> {
  const page = await prepareAudiencePage(tx, { ...audience, target, cursor, usersPerPage });
  if (!page) return null;
  const people = { ...audience, meant: page.meant, onePerUser: target.onePerUser };
  const inserted = await insertUserDeliveries(tx, people, { users: page.users, isBroadcast: target.everyone, areNew });
  return cursorAfter(cursor, { ...inserted, size: page.size });
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
