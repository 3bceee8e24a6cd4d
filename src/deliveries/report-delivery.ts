import type { Caller } from '../apps/caller.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Delivery } from '../generated/prisma/client.ts';
import { camelCaseKeys, sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import type { ReceiverReceipt } from './delivery-state.ts';
import { isReceiptToken } from './receipt-token.ts';
import { recordReceipts } from './record-receipts.ts';

/** What a client tells about a delivery that it received. */
export interface Report {
  deliveryId: string;
  status: ReceiverReceipt | 'DISMISSED';
  /** When it happened; absent: now. Never later than now, never before the delivery was made. */
  at?: Date | null | undefined;
  /** From inside the push; stands in for other credentials. */
  receiptToken?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/**
 * Records a receipt. Allowed are the installation that the push was for (for an inbox: any of its user's), a server key, and
 * whoever holds the receipt token; to anyone else the delivery does not exist. A repeated or late receipt changes nothing.
 *
 * @param caller null: nobody but the holder of a receipt token.
 * @throws DomainError `NOT_FOUND`, `TOKEN_INVALID`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function reportDelivery(
  deployment: Deployment,
  caller: Caller | null,
  report: Report,
): Promise<{ deliveryId: string }> {
  const { deliveryId, status, at, receiptToken, idempotencyKey } = report;
  const hasToken = typeof receiptToken === 'string' && isReceiptToken(deployment.cipher, deliveryId, receiptToken);
  if (typeof receiptToken === 'string' && !hasToken) {
    throw new DomainError('TOKEN_INVALID', 'This is not the receipt token of this delivery.', ['receiptToken']);
  }
  const isKnown = caller?.kind === 'SERVER' || (caller?.kind === 'INSTALLATION' && !caller.isExpired);
  // Before the idempotency key is looked at, which would answer anybody who knows it.
  if (!isKnown && !hasToken) throw new DomainError('NOT_FOUND', 'There is no such delivery.', ['delivery']);
  // A publishable key is everybody's: who reports by the token is known by the delivery alone.
  const principal = isKnown ? caller.principal : `delivery:${deliveryId}`;
  const about = { principal, mutation: 'reportDelivery', idempotencyKey, input: { deliveryId, status, at } };
  return write(deployment, about, async (tx) => {
    const delivery = await lockDelivery(tx, deliveryId);
    const mayReport = delivery && (hasToken || caller?.kind === 'SERVER' || (await isReceiver(tx, caller, delivery)));
    if (!mayReport) throw new DomainError('NOT_FOUND', 'There is no such delivery.', ['delivery']);
    if (status === 'DISMISSED') await recordDismissal(tx, delivery, at ?? null);
    else await recordReceipts(tx, [{ deliveryId, receipt: status, reason: null, providerCode: null, at: at ?? null }]);
    return { deliveryId };
  });
}

async function lockDelivery(tx: Transaction, id: string): Promise<Delivery | null> {
  const [row] = await tx.$queryRaw<object[]>(sql`select * from deliveries where id = ${id}::uuid for no key update`);
  return row ? camelCaseKeys<Delivery>(row) : null;
}

/** The installation that a push was for; for the inbox, any of its user's. */
async function isReceiver(tx: Transaction, caller: Caller | null, delivery: Delivery): Promise<boolean> {
  if (caller?.kind !== 'INSTALLATION' || caller.isExpired || delivery.recipientId === null) return false;
  const rows = await tx.$queryRaw<unknown[]>(sql`
    select r.id from recipients r
    where r.id = ${delivery.recipientId}::uuid and (
      r.installation_id = ${caller.installationId}::uuid
      or (r.channel = 'IN_APP' and exists (
        select from users u join installations i on i.user_id = coalesce(u.merged_into_id, u.id)
        where u.id = r.user_id and i.id = ${caller.installationId}::uuid
      ))
    )
  `);
  return rows.length > 0;
}

/** Told once; a dismissal is an event, not a state. */
async function recordDismissal(tx: Transaction, delivery: Delivery, at: Date | null): Promise<void> {
  await tx.$executeRaw(sql`
    insert into delivery_events (delivery_id, notification_id, user_id, status, at)
    select id, notification_id, user_id, 'DISMISSED', least(now(), greatest(coalesce(${at}::timestamptz, now()), created_at))
    from deliveries d
    where id = ${delivery.id}::uuid and attempts > 0
      and not exists (select from delivery_events e where e.delivery_id = d.id and e.status = 'DISMISSED')
  `);
}
