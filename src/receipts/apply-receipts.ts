import { type DeliveryReceipt, recordReceipts } from '../deliveries/record-receipts.ts';
import type { Deployment } from '../deployment.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import type { ProviderReceipt, ReceiptChannel } from './told.ts';

/** A receipt, and where it came in: from a provider, or by a link of ours. */
export interface IncomingReceipt extends ProviderReceipt {
  via: ReceiptChannel | 'link';
}

/** Of deliveries by these channels a provider of that kind may tell; a link may be in any. WhatsApp is sent to the phone of SMS. */
const channelsOf: Record<ReceiptChannel, readonly string[]> = {
  sms: ['SMS', 'WHATSAPP'],
  whatsapp: ['SMS', 'WHATSAPP'],
  email: ['EMAIL'],
};

function mayTell(via: IncomingReceipt['via'], channel: string | null): boolean {
  return via === 'link' || channelsOf[via].includes(channel ?? '');
}

/** A receipt of a delivery that is known. */
type KnownReceipt = DeliveryReceipt & { isAddressGone: boolean };

/**
 * Records what providers tell, whatever number of them at once. What names a delivery that is not there, or one of another
 * channel, changes nothing; what names none by the provider's own id waits for the record of the send
 * (`resumeEarlyReceipts`). An address that is nobody's is retired. The last thing that a transaction does.
 */
export async function applyReceipts(tx: Transaction, receipts: readonly IncomingReceipt[]): Promise<void> {
  const find = await findDeliveries(tx, receipts);
  const [known, early]: [KnownReceipt[], IncomingReceipt[]] = [[], []];
  for (const receipt of receipts) {
    const { about, via, ...told } = receipt;
    const delivery = find(receipt);
    if (delivery && mayTell(via, delivery.channel)) known.push({ ...told, deliveryId: delivery.id });
    else if (!delivery && 'providerMessageId' in about) early.push(receipt);
  }
  await keepEarlyReceipts(tx, early);
  await applyKnownReceipts(tx, known);
}

async function applyKnownReceipts(tx: Transaction, receipts: readonly KnownReceipt[]): Promise<void> {
  await retireAddresses(
    tx,
    receipts.filter(({ isAddressGone }) => isAddressGone).map(({ deliveryId }) => deliveryId),
  );
  await recordReceipts(tx, receipts);
}

interface DeliveryRow {
  id: string;
  channel: string | null;
  provider_message_id: string | null;
}

async function findDeliveries(tx: Transaction, receipts: readonly IncomingReceipt[]) {
  const ids = receipts.flatMap(({ about }) => ('deliveryId' in about ? [about.deliveryId] : []));
  const providerIds = receipts.flatMap(({ about }) => ('providerMessageId' in about ? [about.providerMessageId] : []));
  const columns = sql`id, channel::text, provider_message_id`;
  const byId = await tx.$queryRaw<DeliveryRow[]>(sql`select ${columns} from deliveries where id = any(${ids}::uuid[])`);
  const byProviderId =
    providerIds.length === 0
      ? []
      : await tx.$queryRaw<DeliveryRow[]>(
          // Of two that a provider has given the same id, the later one is meant: a Map keeps the last.
          sql`select ${columns} from deliveries where provider_message_id = any(${providerIds}::text[]) order by id`,
        );
  const known = new Map(byId.map((row) => [row.id, row]));
  const knownToProvider = new Map(byProviderId.map((row) => [row.provider_message_id, row]));
  return ({ about }: IncomingReceipt) =>
    'deliveryId' in about ? known.get(about.deliveryId.toLowerCase()) : knownToProvider.get(about.providerMessageId);
}

/**
 * Remembers that nothing reaches an address. Not for a delivery that has ended, as it was told of before, nor for an address
 * whose person has subscribed again since the delivery was made; and a phone that has no WhatsApp is a phone still.
 */
async function retireAddresses(tx: Transaction, deliveryIds: readonly string[]): Promise<void> {
  if (deliveryIds.length === 0) return;
  await tx.$executeRaw(sql`
    with told as (
      select recipient_id, max(created_at) as made_at
      from deliveries
      where id = any(${[...deliveryIds]}::uuid[]) and channel in ('EMAIL', 'SMS') and attempts > 0
        and status in ('QUEUED', 'SENDING', 'SENT')
      group by recipient_id
    ),
    gone as (
      select r.id
      from told join recipients r on r.id = told.recipient_id
      where r.retired_at is null and (r.consent_at is null or r.consent_at < told.made_at)
      order by r.id
      for no key update of r
    )
    update recipients r set retired_at = now() from gone where r.id = gone.id
  `);
}

async function keepEarlyReceipts(tx: Transaction, receipts: readonly IncomingReceipt[]): Promise<void> {
  if (receipts.length === 0) return;
  const rows = receipts.map(({ about, receipt, reason, providerCode, isAddressGone, at }) => ({
    id: newId(),
    provider_message_id: 'providerMessageId' in about ? about.providerMessageId : null,
    status: receipt,
    reason,
    provider_code: providerCode,
    is_address_gone: isAddressGone,
    at: at?.toISOString() ?? null,
  }));
  await tx.$executeRaw(sql`
    insert into early_receipts (id, provider_message_id, status, reason, provider_code, is_address_gone, at)
    select id, provider_message_id, status, reason, provider_code, is_address_gone, at
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (
      id uuid, provider_message_id text, status delivery_status, reason delivery_reason, provider_code text,
      is_address_gone boolean, at timestamptz
    )
  `);
}

/** @default 500 // receipts a statement */
const earlyReceiptsPerPage = 500;

interface EarlyRow {
  delivery_id: string;
  status: KnownReceipt['receipt'];
  reason: KnownReceipt['reason'];
  provider_code: string | null;
  is_address_gone: boolean;
  at: Date | null;
}

/**
 * Records receipts whose delivery has got the provider's id since, and forgets those that have waited for an hour in vain. Safe
 * to run in several processes at once.
 */
export async function resumeEarlyReceipts({ db, bus }: Pick<Deployment, 'db' | 'bus'>): Promise<void> {
  for (let count = earlyReceiptsPerPage; count === earlyReceiptsPerPage; ) {
    count = await inTransaction(db, applyEarlyReceipts);
    if (count > 0) bus.wake();
  }
}

/** @returns how many were recorded. */
async function applyEarlyReceipts(tx: Transaction): Promise<number> {
  const rows = await tx.$queryRaw<EarlyRow[]>(sql`
    with matched as (
      select e.id, d.id as delivery_id
      from early_receipts e cross join lateral (
        select id from deliveries where provider_message_id = e.provider_message_id order by id desc limit 1
      ) d
      order by e.id
      limit ${earlyReceiptsPerPage}
      for update of e skip locked
    ),
    taken as (
      delete from early_receipts e using matched where e.id = matched.id returning e.*, matched.delivery_id
    )
    select delivery_id, status::text, reason::text, provider_code, is_address_gone, at from taken order by id
  `);
  await tx.$executeRaw(sql`delete from early_receipts where created_at < now() - interval '1 hour'`);
  const receipts = rows.map(({ delivery_id, status, reason, provider_code, is_address_gone, at }) => ({
    deliveryId: delivery_id,
    receipt: status,
    reason,
    providerCode: provider_code,
    isAddressGone: is_address_gone,
    at,
  }));
  await applyKnownReceipts(tx, receipts);
  return rows.length;
}
