import { addJobs } from '../queue/job.ts';
import { type Database, sql } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import { deliverJob, deliverKey } from './deliver.job.ts';

/** @default 1_000 // deliveries a transaction */
const deliveriesPerPage = 1_000;

/**
 * Makes due what a pause has put off, at most 1,000 of it, with the jobs that send it. What is put off for another reason stays so.
 *
 * @returns whether there may be more.
 */
export async function hastenPutOffPage(db: Pick<Database, 'pool'>, pauseId: string): Promise<boolean> {
  return inTransaction(db, async (tx) => {
    // What somebody holds is being called off, or made due.
    const rows = await tx.$queryRaw<{ notification_id: string }[]>(sql`
      with held as (
        select id from deliveries
        where status = 'QUEUED' and pause_id = ${pauseId}::uuid
        order by id
        limit ${deliveriesPerPage}
        for no key update skip locked
      )
      update deliveries d set next_attempt_at = least(d.next_attempt_at, now()), pause_id = null
      from held
      where d.id = held.id
      returning d.notification_id
    `);
    const ids = [...new Set(rows.map((row) => row.notification_id))].sort();
    const wanted = ids.map((id) => ({ payload: { notificationId: id }, key: deliverKey(id) }));
    if (ids.length > 0) await addJobs(tx, deliverJob, wanted);
    return rows.length === deliveriesPerPage;
  });
}
