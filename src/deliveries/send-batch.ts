import type { Address, MessageContent, SendOutcome } from '../channels/channel.ts';
import { openAddress } from '../installations/installation-address.ts';
import { sql } from '../storage/database.ts';
import { type Claim, type DueDelivery, readDueDeliveries, releaseClaim, renewClaim } from './claim.ts';
import { channelDownDelaySeconds, decideOutcome } from './decide-outcome.ts';
import { createReceiptToken } from './receipt-token.ts';
import type { Worker } from './worker.ts';
import { type Outcome, writeOutcomes } from './write-outcomes.ts';

/** Sends at once. @default 32 */
const concurrency = 32;

/** One claim's deliveries, all of one notification. */
export interface Batch {
  claim: Claim;
  notification: { id: string; content: MessageContent; expiresAt: Date };
}

/**
 * Sends what a claim holds, a slice of {@link concurrency} at a time: each slice is read (and its right to be sent checked)
 * right before, and its outcomes are written right after. Stops between slices when the worker stops, or when a channel
 * is down; what has not begun then goes back to the queue.
 */
export async function sendBatch(worker: Worker, { claim, notification }: Batch): Promise<void> {
  const renewal = setInterval(
    () => {
      renewClaim(worker.db, claim, worker.leaseSeconds).catch((err: unknown) => {
        worker.log.warn({ err, notificationId: notification.id }, 'A claim on deliveries could not be renewed.');
      });
    },
    (worker.leaseSeconds * 1000) / 3,
  );
  try {
    let rest = claim.deliveryIds;
    let isChannelDown = false;
    while (rest.length > 0 && !worker.signal.aborted && !isChannelDown) {
      const slice = rest.slice(0, concurrency);
      rest = rest.slice(concurrency);
      isChannelDown = await sendSlice(worker, { claim, notification }, slice);
    }
    await giveBack(worker, claim, rest, isChannelDown);
  } finally {
    clearInterval(renewal);
    worker.bus.wake();
  }
}

async function giveBack(
  worker: Worker,
  claim: Claim,
  deliveryIds: readonly string[],
  isChannelDown: boolean,
): Promise<void> {
  if (deliveryIds.length === 0) return;
  await releaseClaim(worker.db, claim.token, {
    deliveryIds,
    delaySeconds: isChannelDown ? channelDownDelaySeconds : 0,
  });
}

/** @returns whether a channel said that nothing can be sent now. */
async function sendSlice(worker: Worker, { claim, notification }: Batch, ids: readonly string[]): Promise<boolean> {
  const due = await readDueDeliveries(worker.db, ids);
  const ends = await Promise.all(due.map((delivery) => sendOne(worker, notification, delivery)));
  const outcomes: Outcome[] = [];
  const kept: string[] = [];
  const delivered: string[] = [];
  const bounced: string[] = [];
  for (const { delivery, end } of ends) {
    if ('status' in end) outcomes.push(end);
    else if (end.kind === 'channelDown') kept.push(delivery.id);
    else outcomes.push(decideOutcome(delivery, end, Math.random()));
    if ('kind' in end && end.kind === 'accepted' && end.receipt === 'DELIVERED') delivered.push(delivery.id);
    if ('kind' in end && end.kind === 'accepted' && end.receipt === 'BOUNCED') bounced.push(delivery.id);
  }
  await retireAddresses(worker, ends);
  await writeOutcomes(worker.db, claim.token, outcomes);
  await recordReceipts(worker, { delivered, bounced });
  worker.bus.wake();
  if (kept.length === 0) return false;
  worker.log.error(
    { notificationId: notification.id, deliveryCount: kept.length },
    'A channel is down; its deliveries wait.',
  );
  await giveBack(worker, claim, kept, true);
  return true;
}

interface End {
  delivery: DueDelivery;
  end: SendOutcome | Outcome;
}

async function sendOne(worker: Worker, notification: Batch['notification'], delivery: DueDelivery): Promise<End> {
  if (delivery.refusal !== null) {
    const status = delivery.refusal === 'DEPERSONALIZED' ? 'CANCELLED' : 'DISCARDED';
    return { delivery, end: { deliveryId: delivery.id, status, reason: delivery.refusal, providerCode: null } };
  }
  const address = toAddress(worker, delivery);
  const channel = address && worker.channels.channelFor(delivery.channel, address.kind);
  if (!channel) {
    return {
      delivery,
      end: { deliveryId: delivery.id, status: 'DISCARDED', reason: 'CHANNEL_NOT_CONFIGURED', providerCode: null },
    };
  }
  const message = {
    deliveryId: delivery.id,
    notificationId: notification.id,
    channel: delivery.channel,
    platform: delivery.platform,
    address,
    content: notification.content,
    receiptToken: createReceiptToken(worker.cipher, delivery.id),
    expiresAt: notification.expiresAt,
    attempt: delivery.attempts,
  };
  return { delivery, end: await channel.send(message, worker.signal) };
}

function toAddress(worker: Worker, delivery: DueDelivery): Address | null {
  switch (delivery.channel) {
    case 'PUSH':
      return delivery.addressCipher && openAddress(worker.cipher, delivery.addressCipher);
    case 'EMAIL':
      return delivery.address === null ? null : { kind: 'email', email: delivery.address };
    case 'SMS':
      return delivery.address === null ? null : { kind: 'phone', phone: delivery.address };
    case 'IN_APP':
      return delivery.userId === null ? null : { kind: 'inbox', userId: delivery.userId };
  }
}

/** A push address that is gone is forgotten, unless the installation has registered another one meanwhile. */
async function retireAddresses({ db }: Worker, ends: readonly End[]): Promise<void> {
  const gone = ends.flatMap(({ delivery, end }) =>
    'kind' in end && end.kind === 'gone' && delivery.installationId !== null && delivery.addressCipher !== null
      ? [{ id: delivery.installationId, cipher: delivery.addressCipher }]
      : [],
  );
  if (gone.length === 0) return;
  await db.$executeRaw(sql`
    update installations i set address_cipher = null, address_hash = null, push_status = 'ASK'
    from unnest(${gone.map(({ id }) => id)}::uuid[], ${gone.map(({ cipher }) => cipher)}::bytea[]) as answered (id, address_cipher)
    where i.id = answered.id and i.address_cipher = answered.address_cipher
  `);
}

/** What a provider confirmed with its answer already. A transaction of its own: each state is an event of its own. */
async function recordReceipts(
  { db }: Worker,
  { delivered, bounced }: { delivered: readonly string[]; bounced: readonly string[] },
): Promise<void> {
  if (delivered.length + bounced.length === 0) return;
  await db.$executeRaw(sql`
    update deliveries set
      status = case when id = any(${delivered}::uuid[]) then 'DELIVERED' else 'BOUNCED' end::delivery_status,
      reason = case when id = any(${bounced}::uuid[]) then 'HARD_BOUNCE' end::delivery_reason,
      status_at = now()
    where id = any(${[...delivered, ...bounced]}::uuid[]) and status = 'SENT'
  `);
}
