import { takeBackExpiredClaims } from '../deliveries/claim.ts';
import { deliverJob, expireOverdue } from '../deliveries/deliver.job.ts';
import type { Worker } from '../deliveries/worker.ts';
import { addJob } from '../queue/job.ts';
import { sql } from '../storage/database.ts';
import { fanOutJob } from './fan-out.job.ts';

/**
 * Puts back to work what a dead worker left behind, so that nothing stays queued or sending for ever: claims and fan-outs
 * whose lease has run out, deliveries that are due but have no job, deliveries whose time has passed. Safe to run in
 * every worker at once.
 *
 * @param isAlone no other worker can be alive (the database was embedded and has just been started): take back at once.
 */
export async function sweep(worker: Worker, { isAlone = false } = {}): Promise<void> {
  await worker.db.$transaction(async (tx) => {
    const unfinished = await tx.$queryRaw<{ id: string }[]>(sql`
      update notifications set fan_out_claim_expires_at = now() + make_interval(secs => ${worker.leaseSeconds})
      where id in (
        select id from notifications
        where fan_out_finished_at is null and (${isAlone} or fan_out_claim_expires_at < now())
        order by id
        for no key update skip locked
      )
      returning id
    `);
    for (const { id } of unfinished) await addJob(tx, fanOutJob, { notificationId: id });

    await takeBackExpiredClaims(tx, { all: isAlone });
  });
  await resume(worker);
}

/** Deliveries that have been due for a while have lost their job, however that came about. */
async function resume(worker: Worker): Promise<void> {
  const waiting = await worker.db.$queryRaw<{ notification_id: string; is_overdue: boolean }[]>(sql`
    select c.notification_id, n.expires_at <= now() as is_overdue
    from notification_counts c
    join notifications n on n.id = c.notification_id
    where c.status = 'QUEUED' and c.current > 0
      and (n.expires_at <= now() or exists (
        select from deliveries d
        where d.notification_id = c.notification_id and d.status = 'QUEUED' and d.next_attempt_at <= now()
      ))
  `);
  for (const { notification_id: notificationId, is_overdue: isOverdue } of waiting) {
    if (isOverdue) await expireOverdue(worker, notificationId);
    else await addJob(worker.db, deliverJob, { notificationId }, { key: `sweep ${notificationId}` });
  }
}
