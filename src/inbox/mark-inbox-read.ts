import { recordReceipts } from '../deliveries/record-receipts.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { isInboxOf } from './inbox-items.ts';

/** Marks items of a user's inbox as read. */
export interface MarkInboxReadRequest {
  principal: string;
  userId: string;
  /** Ids of the items' deliveries, at most {@link itemsMax}; null: all there are. */
  deliveryIds: readonly string[] | null;
  idempotencyKey?: string | null | undefined;
}

/** @default 100 // items that one call names */
export const itemsMax = 100;

/**
 * Marks items as read; their deliveries are OPENED. What is read already stays as it is, with its time.
 *
 * @throws DomainError `LIMIT_EXCEEDED`, `NOT_FOUND` (an item that is not in this inbox), `IDEMPOTENCY_KEY_REUSED`; nothing is
 * marked then.
 */
export async function markInboxRead(
  deployment: Deployment,
  { principal, userId, deliveryIds, idempotencyKey }: MarkInboxReadRequest,
): Promise<{ userId: string }> {
  if ((deliveryIds?.length ?? 0) > itemsMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${itemsMax} items at once.`, ['deliveries']);
  }
  const about = { principal, mutation: 'markInboxRead', idempotencyKey, input: { userId, deliveryIds } };
  return write(deployment, about, async (tx) => {
    if (deliveryIds !== null) await refuseOthersItems(tx, userId, deliveryIds);
    const opened = await markItems(tx, userId, deliveryIds);
    const receipt = { receipt: 'OPENED', reason: null, providerCode: null, at: null } as const;
    await recordReceipts(
      tx,
      opened.map((deliveryId) => ({ deliveryId, ...receipt })),
    );
    return { userId };
  });
}

async function refuseOthersItems(tx: Transaction, userId: string, deliveryIds: readonly string[]): Promise<void> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from inbox_items where id = any(${[...deliveryIds]}::uuid[]) and ${isInboxOf(sql`${userId}::uuid`)}
  `);
  const own = new Set(rows.map(({ id }) => id));
  const missing = deliveryIds.findIndex((id) => !own.has(id));
  if (missing >= 0) throw new DomainError('NOT_FOUND', 'There is no such item.', ['deliveries', String(missing)]);
}

/** Deliveries are locked before their items, as by whoever reports one. Answers the items that were unread. */
async function markItems(tx: Transaction, userId: string, deliveryIds: readonly string[] | null): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    with unread as (
      select id from deliveries
      where id in (
        select id from inbox_items
        where read_at is null and ${isInboxOf(sql`${userId}::uuid`)}
          and (${deliveryIds === null} or id = any(${[...(deliveryIds ?? [])]}::uuid[]))
      )
      order by id
      for no key update
    )
    update inbox_items item set read_at = now()
    from unread
    where item.id = unread.id and item.read_at is null
    returning item.id
  `);
  return rows.map(({ id }) => id);
}
