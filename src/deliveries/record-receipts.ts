import type { Channel, DeliveryReason, DeliveryStatus } from '../generated/prisma/enums.ts';
import { addJobs } from '../queue/job.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { decideReceipt, type Receipt } from './delivery-state.ts';
import { fallBackKey, fallBackTask } from './fall-back-task.ts';

/** What was told of one delivery. */
export interface DeliveryReceipt {
  deliveryId: string;
  receipt: Receipt;
  /** Why, of FAILED and BOUNCED. */
  reason: DeliveryReason | null;
  /** The provider's own word for it; null: what it said before stays. */
  providerCode: string | null;
  /** When it happened; null: now. Never later than now, never before the delivery was made. */
  at: Date | null;
}

/** One state that a delivery comes into. */
type Move = Omit<DeliveryReceipt, 'receipt'> & { status: DeliveryStatus };

/**
 * Records receipts as the table of `delivery-state.ts` decides, in the order in which they are given, however many there are
 * of however many deliveries. What is told late, twice, or of a delivery that is not there, changes nothing; what overtakes
 * the worker's own record takes its claim away, so that the record comes too late. Where the next channel waits for what becomes of a
 * delivery, it is looked at again.
 *
 * Changes deliveries, so nothing is locked after it in its transaction.
 */
export async function recordReceipts(tx: Transaction, receipts: readonly DeliveryReceipt[]): Promise<void> {
  if (receipts.length === 0) return;
  const known = await lockDeliveries(
    tx,
    receipts.map(({ deliveryId }) => deliveryId),
  );
  await markItemsRead(
    tx,
    receipts.filter(
      ({ deliveryId, receipt }) =>
        (receipt === 'OPENED' || receipt === 'CLICKED') && known.get(deliveryId.toLowerCase())?.channel === 'IN_APP',
    ),
  );
  const steps: Move[][] = [];
  const stepCounts = new Map<string, number>();
  for (const { receipt, ...told } of receipts) {
    const delivery = known.get(told.deliveryId.toLowerCase());
    if (!delivery) continue;
    for (const status of decideReceipt(delivery, receipt)) {
      const isEnd = status === receipt;
      const step = stepCounts.get(delivery.id) ?? 0;
      const moves = steps[step] ?? [];
      moves.push({ ...told, status, reason: isEnd ? told.reason : null });
      steps[step] = moves;
      stepCounts.set(delivery.id, step + 1);
      delivery.status = status;
    }
  }
  await lookAtFallbacks(tx, known, steps.flat());
  // One statement for each step: each state is an event of its own.
  for (const moves of steps) await moveDeliveries(tx, moves);
}

interface DeliveryState {
  id: string;
  notification_id: string;
  /** Whether the next channel waits for what becomes of it. */
  falls_back: boolean;
  channel: Channel | null;
  status: DeliveryStatus;
  attempts: number;
}

async function lockDeliveries(tx: Transaction, ids: readonly string[]): Promise<Map<string, DeliveryState>> {
  const rows = await tx.$queryRaw<DeliveryState[]>(sql`
    select id, notification_id, falls_back, channel::text, status::text, attempts from deliveries
    where id = any(${[...new Set(ids)]}::uuid[])
    order by id
    for no key update
  `);
  return new Map(rows.map((row) => [row.id, row]));
}

/** What settles whether the next channel follows, or has failed. That it has arrived does neither: a time has to pass, too. */
const tellingStatuses: readonly DeliveryStatus[] = ['OPENED', 'CLICKED', 'FAILED', 'BOUNCED'];

/** Before deliveries change, as the delivery log's lock is to be the last one taken. */
async function lookAtFallbacks(
  tx: Transaction,
  known: ReadonlyMap<string, DeliveryState>,
  moves: readonly Move[],
): Promise<void> {
  const told = moves.flatMap(({ deliveryId, status }) => {
    const delivery = known.get(deliveryId.toLowerCase());
    return delivery?.falls_back && tellingStatuses.includes(status) ? [delivery.notification_id] : [];
  });
  // In order, so that two at once do not wait for each other.
  const ids = [...new Set(told)].sort();
  const wanted = ids.map((notificationId) => ({ payload: { notificationId }, key: fallBackKey(notificationId) }));
  if (wanted.length > 0) await addJobs(tx, fallBackTask, wanted);
}

/** What was opened is not new in the inbox any more. */
async function markItemsRead(tx: Transaction, opened: readonly DeliveryReceipt[]): Promise<void> {
  if (opened.length === 0) return;
  await tx.$executeRaw(sql`
    update inbox_items i set read_at = least(now(), greatest(coalesce(opened.at, now()), i.created_at))
    from (
      select id, min(at) as at
      from unnest(
        ${opened.map(({ deliveryId }) => deliveryId)}::uuid[],
        ${opened.map(({ at }) => at?.toISOString() ?? null)}::timestamptz[]
      ) as given (id, at)
      group by id
    ) opened
    where i.id = opened.id and i.read_at is null
  `);
}

async function moveDeliveries(tx: Transaction, moves: readonly Move[]): Promise<void> {
  await tx.$executeRaw(sql`
    update deliveries d set
      status = move.status, reason = move.reason, provider_code = coalesce(move.provider_code, d.provider_code),
      status_at = least(now(), greatest(coalesce(move.at, now()), d.created_at)), claim_token = null, claim_expires_at = null
    from unnest(
      ${moves.map(({ deliveryId }) => deliveryId)}::uuid[],
      ${moves.map(({ status }) => status)}::delivery_status[],
      ${moves.map(({ reason }) => reason)}::delivery_reason[],
      ${moves.map(({ providerCode }) => providerCode)}::text[],
      ${moves.map(({ at }) => at?.toISOString() ?? null)}::timestamptz[]
    ) as move (id, status, reason, provider_code, at)
    where d.id = move.id
  `);
}
