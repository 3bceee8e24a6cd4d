import { sql, type Transaction } from '../storage/database.ts';
import type { Worker } from './worker.ts';

/** A statement holds the delivery log's lock until it commits, so it ends no more than these. @default 1_000 */
const deliveriesPerStatement = 1_000;

/**
 * Ends what is still queued of a notification that was called off, or whose time to live has passed, a statement for each 1,000.
 * Safe to run twice at once.
 */
export async function endQueued({ db, bus }: Pick<Worker, 'db' | 'bus'>, notificationId: string): Promise<void> {
  let count: number;
  do {
    count = await endQueuedPage(db, notificationId);
    if (count > 0) bus.wake();
  } while (count === deliveriesPerStatement);
}

/** Ends the first 1,000 of them, and answers how many there were. The last statement of its transaction. */
export function endQueuedPage(db: Pick<Transaction, '$executeRaw'>, notificationId: string): Promise<number> {
  return db.$executeRaw(sql`
    with over as (
      select d.id, n.cancelled_at is not null as is_cancelled
      from notifications n join deliveries d on d.notification_id = n.id and d.status = 'QUEUED'
      where n.id = ${notificationId}::uuid and (n.cancelled_at is not null or n.expires_at <= now())
      order by d.id
      limit ${deliveriesPerStatement}
      for no key update of d skip locked
    )
    update deliveries d set
      status = case when is_cancelled then 'CANCELLED' else 'EXPIRED' end::delivery_status,
      reason = case when is_cancelled then 'CALLER_CANCELLED' else 'TTL_PASSED' end::delivery_reason,
      status_at = now()
    from over
    where d.id = over.id
  `);
}
