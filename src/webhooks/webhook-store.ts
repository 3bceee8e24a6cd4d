import type { DeliveryStatus } from '../generated/prisma/enums.ts';
import { type Database, sql } from '../storage/database.ts';
import type { Cursor } from '../stream/log/cursor.ts';
import type { AttemptDecision } from './decide-attempt.ts';
import type { Stretch } from './webhook-message.ts';

/** A webhook that this process tells of events, for as long as its lease holds. */
export interface ClaimedWebhook extends Stretch {
  token: string;
  url: string;
  secretCipher: Uint8Array;
  hasGap: boolean;
  failures: number;
  /** For how long it has failed; 0: it does not. */
  failingMs: number;
}

interface WebhookRow {
  id: string;
  url: string;
  secret_cipher: Uint8Array;
  events: DeliveryStatus[];
  app_id: string | null;
  cursor_epoch: string;
  cursor_position: bigint;
  cursor_tag: number;
  end_position: bigint | null;
  end_tag: number | null;
  has_gap: boolean;
  failures: number;
  failing_ms: number;
}

type Db = Pick<Database, '$queryRaw' | '$executeRaw'>;

/** Claims webhooks that have something to be told and whose time has come, those that have waited longest first. */
export async function claimWebhooks(
  db: Db,
  { token, limit, leaseSeconds }: { token: string; limit: number; leaseSeconds: number },
): Promise<ClaimedWebhook[]> {
  const rows = await db.$queryRaw<WebhookRow[]>(sql`
    with due as (
      select w.id from webhooks w cross join delivery_log log
      where w.disabled_at is null and w.next_attempt_at <= now()
        and (w.claim_expires_at is null or w.claim_expires_at < now())
        and (
          w.cursor_epoch <> log.epoch
          or exists (select from delivery_events e where e.position > w.cursor_position)
        )
      order by w.next_attempt_at, w.id
      limit ${limit}::int
      for no key update of w skip locked
    )
    update webhooks w set claim_token = ${token}::uuid, claim_expires_at = now() + make_interval(secs => ${leaseSeconds}::float8)
    from due
    where w.id = due.id
    returning
      w.id, w.url, w.secret_cipher, w.events::text[], w.app_id, w.cursor_epoch, w.cursor_position, w.cursor_tag,
      w.end_position, w.end_tag, w.has_gap, w.failures,
      coalesce(extract(epoch from now() - w.failing_since) * 1000, 0)::float8 as failing_ms
  `);
  return rows.map((row) => toClaimed(row, token));
}

function toClaimed(row: WebhookRow, token: string): ClaimedWebhook {
  const { cursor_epoch: epoch, end_position: endPosition, end_tag: endTag } = row;
  return {
    token,
    webhookId: row.id,
    url: row.url,
    secretCipher: row.secret_cipher,
    events: row.events,
    appId: row.app_id,
    cursor: { epoch, position: BigInt(row.cursor_position), tag: row.cursor_tag },
    end: endPosition === null || endTag === null ? null : { epoch, position: BigInt(endPosition), tag: endTag },
    hasGap: row.has_gap,
    failures: row.failures,
    failingMs: row.failing_ms,
  };
}

type Held = Pick<ClaimedWebhook, 'webhookId' | 'token'>;

/** Remembers where the message ends that is about to be told. @returns false: the claim is lost. */
export async function beginMessage(db: Db, { webhookId, token }: Held, end: Cursor): Promise<boolean> {
  const count = await db.$executeRaw(sql`
    update webhooks set end_position = ${end.position}, end_tag = ${end.tag}
    where id = ${webhookId}::uuid and claim_token = ${token}::uuid
  `);
  return count > 0;
}

/** Moves on to `cursor`, with a gap behind it or without, and gives the webhook back. */
export async function moveOn(
  db: Db,
  { webhookId, token }: Held,
  { cursor, hasGap, isTold }: { cursor: Cursor; hasGap: boolean; isTold: boolean },
): Promise<void> {
  await db.$executeRaw(sql`
    update webhooks set
      cursor_epoch = ${cursor.epoch}::uuid, cursor_position = ${cursor.position}, cursor_tag = ${cursor.tag},
      end_position = null, end_tag = null, has_gap = ${hasGap},
      failures = case when ${isTold} then 0 else failures end,
      failing_since = case when ${isTold} then null else failing_since end,
      last_failure = case when ${isTold} then null else last_failure end,
      claim_token = null, claim_expires_at = null
    where id = ${webhookId}::uuid and claim_token = ${token}::uuid
  `);
}

/** Puts the message off, or the webhook out of use, and gives it back. */
export async function recordFailure(
  db: Db,
  { webhookId, token }: Held,
  decision: Exclude<AttemptDecision, { kind: 'TOLD' }>,
): Promise<void> {
  const delaySeconds = decision.kind === 'RETRY' ? decision.delayMs / 1_000 : 0;
  await db.$executeRaw(sql`
    update webhooks set
      failures = failures + 1, failing_since = coalesce(failing_since, now()), last_failure = ${decision.failure},
      next_attempt_at = now() + make_interval(secs => ${delaySeconds}::float8),
      disabled_at = case when ${decision.kind === 'DISABLE'} then now() end,
      claim_token = null, claim_expires_at = null
    where id = ${webhookId}::uuid and claim_token = ${token}::uuid
  `);
}

/** Gives webhooks back that nothing was done for; of a process that is alone, all that an earlier one held. */
export async function releaseWebhooks(db: Db, token: string | null): Promise<void> {
  await db.$executeRaw(sql`
    update webhooks set claim_token = null, claim_expires_at = null
    where claim_token is not null and (${token}::uuid is null or claim_token = ${token}::uuid)
  `);
}
