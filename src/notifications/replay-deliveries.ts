import { deliverJob } from '../deliveries/deliver.job.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { DeliveryReason } from '../generated/prisma/enums.ts';
import { addJobs } from '../queue/job.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';

/** What a caller wants sent again. */
export interface ReplayRequest {
  principal: string;
  /** All of it that ended so … */
  notificationId?: string | null | undefined;
  /** … or these. */
  deliveryIds?: readonly string[] | null | undefined;
  /** Ends for these reasons. @default of a notification {@link passingReasons}, of deliveries {@link replayableReasons} */
  reasons?: readonly DeliveryReason[] | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** What is queued again. */
export interface Replay {
  notificationIds: string[];
  count: number;
  /** There are more of the notification: call again. */
  hasMore: boolean;
}

/** Reasons that pass by themselves. */
export const passingReasons = [
  'PROVIDER_UNAVAILABLE',
  'SOFT_BOUNCE',
  'CHANNEL_NOT_CONFIGURED',
  'TTL_PASSED',
] as const satisfies DeliveryReason[];

/** Reasons that somebody can do away with. All others would be there again, or are what the person or the sender wanted. */
export const replayableReasons: readonly DeliveryReason[] = [
  ...passingReasons,
  'PROVIDER_REJECTED',
  'RENDER_FAILED',
  'FREQUENCY_CAPPED',
];

/** Deliveries of a call: it holds the delivery log's lock until it commits. @default 1_000 */
export const replayMax = 1_000;

/**
 * Queues deliveries again that have ended, with an event and a new count of attempts; the time to live of their notification begins
 * anew. Whether they may be sent is decided at their turn, as always. Safe to repeat: what is queued has not ended.
 *
 * @throws DomainError `NOT_FOUND`, `STATE_CONFLICT` (called off; a delivery that is named has not ended for such a reason),
 * `VALUE_INVALID`, `LIMIT_EXCEEDED`, `IDEMPOTENCY_KEY_REUSED`
 */
export function replayDeliveries(deployment: Deployment, request: ReplayRequest): Promise<Replay> {
  const { principal, idempotencyKey, ...input } = request;
  const { notificationId = null, deliveryIds = null } = input;
  if ((notificationId === null) === (deliveryIds === null)) {
    throw new DomainError('VALUE_INVALID', 'Name a notification, or deliveries.', ['notification']);
  }
  if (deliveryIds && deliveryIds.length > replayMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${replayMax} deliveries.`, ['deliveries']);
  }
  const reasons = input.reasons ?? (notificationId === null ? replayableReasons : passingReasons);
  refuseOtherReasons(reasons);
  const about = { principal, mutation: 'replayDeliveries', idempotencyKey, input };
  return write(deployment, about, async (tx) => {
    const named = [...new Set(deliveryIds ?? [])];
    const notificationIds = notificationId === null ? await findNotifications(tx, named) : [notificationId];
    await prolong(tx, notificationIds, notificationId === null ? ['deliveries'] : ['notification']);
    const wanted = notificationIds.map((id) => ({ payload: { notificationId: id } }));
    if (wanted.length > 0) await addJobs(tx, deliverJob, wanted);
    const count = await queueAgain(tx, { notificationIds, named: notificationId === null ? named : null, reasons });
    // Nothing is written then: what is named is sent again as a whole, or not at all.
    if (notificationId === null && count < named.length) {
      throw new DomainError('STATE_CONFLICT', 'One of them has not ended for such a reason.', ['deliveries']);
    }
    return { notificationIds, count, hasMore: notificationId !== null && count === replayMax };
  });
}

function refuseOtherReasons(reasons: readonly DeliveryReason[]): void {
  const other = reasons.findIndex((reason) => !replayableReasons.includes(reason));
  if (other < 0 && reasons.length > 0) return;
  const words = `What ended for another reason than ${replayableReasons.join(', ')} is not sent again.`;
  throw new DomainError('VALUE_INVALID', words, other < 0 ? ['reasons'] : ['reasons', String(other)]);
}

async function findNotifications(tx: Transaction, deliveryIds: readonly string[]): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string; notification_id: string }[]>(sql`
    select id, notification_id from deliveries where id = any(${[...deliveryIds]}::uuid[])
  `);
  const known = new Set(rows.map(({ id }) => id));
  const missing = deliveryIds.findIndex((id) => !known.has(id));
  if (missing >= 0) throw new DomainError('NOT_FOUND', 'There is no such delivery.', ['deliveries', String(missing)]);
  return [...new Set(rows.map((row) => row.notification_id))];
}

/** Gives notifications their time to live once more. */
async function prolong(tx: Transaction, ids: readonly string[], path: readonly string[]): Promise<void> {
  const rows = await tx.$queryRaw<{ is_cancelled: boolean }[]>(sql`
    select cancelled_at is not null as is_cancelled from notifications where id = any(${[...ids]}::uuid[])
    order by id
    for no key update
  `);
  if (rows.length < ids.length) throw new DomainError('NOT_FOUND', 'There is no such notification.', path);
  if (rows.some((row) => row.is_cancelled)) throw new DomainError('STATE_CONFLICT', 'It was called off.', path);
  await tx.$executeRaw(sql`
    update notifications set expires_at = greatest(expires_at, now() + make_interval(secs => ttl_seconds))
    where id = any(${[...ids]}::uuid[])
  `);
}

interface Wanted {
  notificationIds: readonly string[];
  /** Null: all of the notification. */
  named: readonly string[] | null;
  reasons: readonly DeliveryReason[];
}

function queueAgain(tx: Transaction, { notificationIds, named, reasons }: Wanted): Promise<number> {
  return tx.$executeRaw(sql`
    with wanted as (
      select id from deliveries
      where notification_id = any(${[...notificationIds]}::uuid[]) and reason = any(${[...reasons]}::delivery_reason[])
        and status in ('FAILED', 'BOUNCED', 'DISCARDED', 'EXPIRED')
        and ${named === null ? sql`true` : sql`id = any(${[...named]}::uuid[])`}
      order by id
      limit ${replayMax}
      for no key update
    )
    update deliveries d set
      status = 'QUEUED', reason = null, status_at = now(), attempts = 0, replays = d.replays + 1, next_attempt_at = now(),
      provider_message_id = null
    from wanted
    where d.id = wanted.id
  `);
}
