import { sql } from '../storage/database.ts';
import type { Worker } from './worker.ts';

/** A statement holds the delivery log's lock until it commits, so it ends no more than these. @default 1_000 */
const deliveriesPerStatement = 1_000;

/** Ends what is still queued when its time to live has passed, a statement for each 1,000. Safe to run twice at once. */
export async function expireOverdue({ db, bus }: Pick<Worker, 'db' | 'bus'>, notificationId: string): Promise<void> {
  let count: number;
  do {
    count = await db.$executeRaw(sql`
      with overdue as (
        select d.id
        from notifications n join deliveries d on d.notification_id = n.id and d.status = 'QUEUED'
        where n.id = ${notificationId}::uuid and n.expires_at <= now()
        order by d.id
        limit ${deliveriesPerStatement}
        for no key update of d skip locked
      )
      update deliveries d set status = 'EXPIRED', reason = 'TTL_PASSED', status_at = now()
      from overdue
      where d.id = overdue.id
    `);
    if (count > 0) bus.wake();
  } while (count === deliveriesPerStatement);
}
