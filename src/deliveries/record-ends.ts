import type { SendOutcome } from '../channels/channel.ts';
import { lockWithOwners } from '../installations/installation-store.ts';
import { type Database, sql, type Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import type { DueDelivery } from './begin-sends.ts';
import { holdPauses, type Provider, toProviderKey } from './channel-pause-store.ts';
import { isOutdated } from './decide-outcome.ts';
import { type Outcome, writeOutcomes } from './write-outcomes.ts';

/** How a delivery's turn ended. */
export interface SendEnd {
  delivery: DueDelivery;
  /** What the channel answered; null when it was not asked. */
  sent: SendOutcome | null;
  outcome: Outcome;
  /** The provider that is paused, which is why it is put off. Absent: none is. */
  pausedBy?: Provider | undefined;
}

/**
 * Writes how sends ended, in one transaction: push addresses that are gone are forgotten, others retired, attempts that were
 * put off are kept, then outcomes, then what the provider confirmed with its answer already. Repeated when it deadlocks, as what
 * was sent must be known to be.
 */
export async function recordEnds(db: Database, token: string, ends: readonly SendEnd[]): Promise<void> {
  if (ends.length === 0) return;
  await inTransaction(
    db,
    async (tx) => {
      await forgetPushAddresses(tx, ends);
      await retireRecipients(tx, ends);
      await recordAttempts(tx, ends);
      await writeOutcomes(tx, token, await putOffByPauses(tx, ends));
      await recordReceipts(tx, ends);
    },
    'GENERIC',
  );
}

/**
 * A push address that is gone is forgotten, unless the installation has registered it, or another one, since the provider
 * knows, or since the send began: sealed anew, the same address is another text.
 */
async function forgetPushAddresses(tx: Transaction, ends: readonly SendEnd[]): Promise<void> {
  const gone = ends.flatMap(({ delivery, sent }) => {
    const { installationId: id, addressCipher } = delivery;
    if (sent?.kind !== 'gone' || isOutdated(sent, delivery) || id === null || addressCipher === null) return [];
    return [{ id, addressCipher }];
  });
  if (gone.length === 0) return;
  await lockWithOwners(tx, sql`i.id = any(${gone.map(({ id }) => id)}::uuid[])`);
  await tx.$executeRaw(sql`
    update installations i set address_cipher = null, address_hash = null, address_kind = null, push_status = 'ASK'
    from unnest(
      ${gone.map(({ id }) => id)}::uuid[], ${gone.map(({ addressCipher }) => addressCipher)}::bytea[]
    ) as answered (id, address_cipher)
    where i.id = answered.id and i.address_cipher = answered.address_cipher
  `);
}

/** Of an e-mail address or a phone that is nobody's it is remembered, as when its message comes back later. */
async function retireRecipients(tx: Transaction, ends: readonly SendEnd[]): Promise<void> {
  // A phone that has no WhatsApp is a phone still.
  const gone = ends.flatMap(({ delivery: { recipientId, channel }, sent }) =>
    sent?.kind === 'gone' && recipientId !== null && (channel === 'EMAIL' || channel === 'SMS') ? [recipientId] : [],
  );
  if (gone.length === 0) return;
  await tx.$executeRaw(sql`
    with held as (
      select id from recipients
      where id = any(${gone}::uuid[]) and retired_at is null
      order by id
      for no key update
    )
    update recipients r set retired_at = now() from held where r.id = held.id
  `);
}

/** The outcomes. What is put off by a pause says by which one; where that is over meanwhile, it is due at once. */
async function putOffByPauses(tx: Transaction, ends: readonly SendEnd[]): Promise<Outcome[]> {
  const providers = ends.flatMap(({ pausedBy }) => pausedBy ?? []);
  const pauses = providers.length > 0 ? await holdPauses(tx, providers) : new Map<string, string>();
  return ends.map(({ outcome, pausedBy }) => {
    if (!pausedBy) return outcome;
    const pauseId = pauses.get(toProviderKey(pausedBy));
    return pauseId === undefined ? { ...outcome, delayMs: 0 } : { ...outcome, pauseId };
  });
}

/**
 * What was put off has no event. An attempt that is refused with all others is no attempt at this delivery. What came too fast is not
 * kept: it comes back too often for that.
 */
async function recordAttempts(tx: Transaction, ends: readonly SendEnd[]): Promise<void> {
  const isThrottled = (sent: SendOutcome) => sent.kind === 'retry' && sent.isThrottled === true;
  const putOff = ends.filter(({ sent, outcome }) => sent && !isThrottled(sent) && outcome.status === 'QUEUED');
  if (putOff.length === 0) return;
  await tx.$executeRaw(sql`
    insert into delivery_attempts (delivery_id, attempt, provider_code)
    select * from unnest(
      ${putOff.map(({ delivery }) => delivery.id)}::uuid[],
      ${putOff.map(({ delivery, outcome }) => (outcome.isUncounted ? null : delivery.attempts))}::int[],
      ${putOff.map(({ outcome }) => outcome.providerCode)}::text[]
    )
    on conflict (delivery_id, at) do nothing
  `);
}

/** @default 30 // days */
const attemptsKeptDays = 30;

/** Removes attempts that are not kept any longer, a bounded number at a time. */
export async function forgetAttempts(db: Pick<Transaction, '$executeRaw'>): Promise<void> {
  await db.$executeRaw(sql`
    delete from delivery_attempts where (delivery_id, at) in (
      select delivery_id, at from delivery_attempts where at < now() - make_interval(days => ${attemptsKeptDays}) order by at
      limit 10000 for update skip locked
    )
  `);
}

/** A statement of its own: each state is an event of its own. */
async function recordReceipts(tx: Transaction, ends: readonly SendEnd[]): Promise<void> {
  const confirmed = ends.flatMap(({ delivery: { id }, sent }) =>
    sent?.kind === 'accepted' && sent.receipt !== undefined ? [{ id, receipt: sent.receipt }] : [],
  );
  if (confirmed.length === 0) return;
  // The rows are this transaction's already, but for those whose claim was lost: they may be somebody else's to lock.
  await tx.$executeRaw(sql`
    with held as (
      select d.id, given.receipt
      from unnest(
        ${confirmed.map(({ id }) => id)}::uuid[], ${confirmed.map(({ receipt }) => receipt)}::delivery_status[]
      ) as given (id, receipt)
      join deliveries d on d.id = given.id and d.status = 'SENT'
      order by d.id
      for no key update of d
    )
    update deliveries d set
      status = held.receipt, status_at = now(),
      reason = case when held.receipt = 'BOUNCED' then 'HARD_BOUNCE' end::delivery_reason
    from held
    where d.id = held.id
  `);
}
