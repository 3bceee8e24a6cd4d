import { endRotations } from '../apps/rotate-api-key.ts';
import { resumeForgetting } from '../attributes/forget-attribute.job.ts';
import { takeBackExpiredClaims } from '../deliveries/claim.ts';
import { deliverJob, deliverKey } from '../deliveries/deliver.job.ts';
import { endQueued } from '../deliveries/end-queued.ts';
import { fallBackKey, fallBackTask } from '../deliveries/fall-back-task.ts';
import { forgetAttempts } from '../deliveries/record-ends.ts';
import type { Worker } from '../deliveries/worker.ts';
import { forgetImports } from '../imports/forget-imports.ts';
import { addJobs, dropFailedJobs } from '../queue/job.ts';
import { resumeEarlyReceipts } from '../receipts/apply-receipts.ts';
import { sql } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import { forgetIdempotencyKeys } from '../storage/write.ts';
import { trimAccessChanges } from '../stream/log/trim-access-changes.ts';
import { fanOutJob, fanOutKey } from './fan-out/fan-out.job.ts';
import { listInSteps } from './fan-out/list-in-steps.ts';

/** @default 500 // notifications a statement */
const notificationsPerPage = 500;

/**
 * Puts back to work what a dead worker left behind, so that nothing stays queued or sending for ever: claims and fan-outs
 * whose lease has run out, deliveries that are due but have no job, channels that are to follow others, deliveries whose time
 * has passed, receipts that came before the record of their send, attributes whose values are still to be removed. Removes jobs
 * that have failed for good, and idempotency keys, access changes, rotated secrets, attempts of deliveries and undo values of
 * imports that are not kept any longer. Safe to run in every worker at once; a step that was cut off is done by the next
 * sweep.
 *
 * @param isAlone no other worker can be alive (the database was embedded and has just been started): take back at once.
 */
export async function sweep(worker: Worker, { isAlone = false } = {}): Promise<void> {
  await everyPage(worker, (after) => takeOverFanOuts(worker, { isAlone, after }));
  await takeBackExpiredClaims(worker.db, { all: isAlone });
  await resumeDue(worker);
  await everyPage(worker, (after) => resumeFallbacks(worker, after));
  await resumeForgetting(worker.db, { leaseSeconds: worker.leaseSeconds, isAlone });
  await resumeEarlyReceipts(worker);
  await dropFailedJobs(worker.db);
  await forgetIdempotencyKeys(worker.db);
  await trimAccessChanges(worker.db);
  await endRotations(worker.db);
  await forgetImports(worker.db);
  await forgetAttempts(worker.db);
}

/** Walks a list of notifications by id, a page at a time, until a page is not full or the worker stops. */
async function everyPage(
  { signal }: Pick<Worker, 'signal'>,
  takePage: (after: string | null) => Promise<readonly string[]>,
): Promise<void> {
  let after: string | null = null;
  do {
    const ids = await takePage(after);
    after = ids.length === notificationsPerPage ? (ids.toSorted().at(-1) ?? null) : null;
  } while (after !== null && !signal.aborted);
}

async function takeOverFanOuts(
  { db, leaseSeconds }: Worker,
  { isAlone, after }: { isAlone: boolean; after: string | null },
): Promise<string[]> {
  const whose = isAlone ? sql`` : sql`and fan_out_claim_expires_at < now()`;
  return inTransaction(db, async (tx) => {
    const rows = await tx.$queryRaw<{ id: string }[]>(sql`
      with unfinished as (
        select id from notifications
        where fan_out_finished_at is null and starts_at <= now() ${whose} and (${after}::uuid is null or id > ${after}::uuid)
        order by id
        limit ${notificationsPerPage}
        for no key update skip locked
      )
      update notifications n set fan_out_claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
      from unfinished
      where n.id = unfinished.id
      returning n.id
    `);
    const ids = rows.map(({ id }) => id);
    const wanted = ids.map((id) => ({ payload: { notificationId: id }, key: fanOutKey(id) }));
    if (ids.length > 0) await addJobs(tx, fanOutJob, wanted);
    return ids;
  });
}

/** Gives a job to each notification with deliveries that are due. */
export const resumeDue = (worker: Worker): Promise<void> =>
  everyPage(worker, (after) => resumeDeliveries(worker, after));

/**
 * Gives a job to each notification with deliveries that are due, in case theirs is lost: one that waits already is the
 * same by its key. Ends what is overdue, or was called off.
 */
async function resumeDeliveries(worker: Worker, after: string | null): Promise<string[]> {
  const waiting = await worker.db.$queryRaw<{ id: string; is_over: boolean }[]>(sql`
    select n.id, n.expires_at <= now() or n.cancelled_at is not null as is_over
    from notification_counts c
    join notifications n on n.id = c.notification_id
    where c.status = 'QUEUED' and c.current > 0 and (${after}::uuid is null or c.notification_id > ${after}::uuid)
      and (n.expires_at <= now() or n.cancelled_at is not null or exists (
        select from deliveries d
        where d.notification_id = n.id and d.status = 'QUEUED' and d.next_attempt_at <= now()
      ))
    order by c.notification_id
    limit ${notificationsPerPage}
  `);
  for (const { id } of waiting.filter((row) => row.is_over)) await endQueued(worker, id);
  const due = waiting.filter((row) => !row.is_over);
  const wanted = due.map(({ id }) => ({ payload: { notificationId: id }, key: deliverKey(id) }));
  if (due.length > 0) await addJobs(worker.db, deliverJob, wanted);
  return waiting.map(({ id }) => id);
}

/** Has it looked who is to be sent to by the next channel: what became of a delivery may have been told by anybody. */
async function resumeFallbacks({ db }: Worker, after: string | null): Promise<string[]> {
  const ids = await listInSteps(db, { after, limit: notificationsPerPage });
  const wanted = ids.map((id) => ({ payload: { notificationId: id }, key: fallBackKey(id) }));
  if (ids.length > 0) await addJobs(db, fallBackTask, wanted);
  return ids;
}
