import { createHash } from 'node:crypto';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { appendAudit } from './audit.ts';
import { type Database, sql, type Transaction } from './database.ts';
import { inTransaction } from './transaction.ts';

/** `Caller.principal` of whoever holds a key. */
const keyPrincipal = /^key:(.+)$/;

/** What names a write, so that a repeat of it can be told. */
export interface WriteRequest {
  /** `Caller.principal`: two callers never share a key. */
  principal: string;
  /** The mutation's name. */
  mutation: string;
  /** The caller's key; absent: every call is a write of its own. */
  idempotencyKey: string | null | undefined;
  /** What was asked, without the key: a repeat must ask the same. */
  input: unknown;
  /** How long a repeat is recognised. @default 24 // hours */
  keptHours?: number;
}

/**
 * Runs a verb's `body` in one transaction and wakes the streams after the commit.
 *
 * With an idempotency key the result is kept in the same transaction: the same key with the same input answers it again
 * and writes nothing; with another input it is refused (`IDEMPOTENCY_KEY_REUSED`); a concurrent repeat waits for the
 * first. What is kept, and what the audit log tells of a key's write, is `body`'s result, so it holds ids only, never
 * secrets. A refused write keeps nothing.
 */
export async function write<Result>(
  { db, bus }: Pick<Deployment, 'db' | 'bus'>,
  request: WriteRequest,
  body: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const result = await inTransaction(db, (tx) => writeOnce(tx, request, body), 'GENERIC');
  bus.wake();
  return result;
}

async function writeOnce<Result>(
  tx: Transaction,
  request: WriteRequest,
  body: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const { idempotencyKey } = request;
  if (idempotencyKey === null || idempotencyKey === undefined) return bodyWithAudit(tx, request, body);
  const earlier = await takeKey<Result>(tx, { ...request, idempotencyKey });
  if (earlier) return earlier.result;
  const fresh = await bodyWithAudit(tx, request, body);
  await tx.$executeRaw(sql`
    update idempotency_keys set result = ${JSON.stringify({ result: fresh })}::jsonb
    where principal = ${request.principal} and mutation = ${request.mutation} and key = ${idempotencyKey}
  `);
  return fresh;
}

/** What a key writes is in the audit log if, and only if, it is written. */
async function bodyWithAudit<Result>(
  tx: Transaction,
  { principal, mutation }: WriteRequest,
  body: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const result = await body(tx);
  const [, apiKeyId] = keyPrincipal.exec(principal) ?? [];
  if (apiKeyId !== undefined) await appendAudit(tx, { apiKeyId, action: mutation, subject: result });
  return result;
}

interface KeyRow<Result> {
  body_hash: Uint8Array;
  result: { result: Result } | null;
}

/** Takes the key for this transaction, or answers what an earlier write with it gave. Waits for a concurrent holder. */
async function takeKey<Result>(
  tx: Transaction,
  { principal, mutation, idempotencyKey, input, keptHours = 24 }: WriteRequest & { idempotencyKey: string },
): Promise<{ result: Result } | null> {
  if (idempotencyKey.length === 0 || idempotencyKey.length > 256) {
    throw new DomainError('VALUE_INVALID', 'An idempotency key has 1 to 256 characters.', ['idempotencyKey']);
  }
  const bodyHash = createHash('sha256').update(canonicalJson(input)).digest();
  const taken = await tx.$executeRaw(sql`
    insert into idempotency_keys as known (principal, mutation, key, body_hash, expires_at)
    values (${principal}, ${mutation}, ${idempotencyKey}, ${bodyHash}, now() + make_interval(hours => ${keptHours}::int))
    on conflict (principal, mutation, key) do update
    set body_hash = excluded.body_hash, result = null, expires_at = excluded.expires_at
    where known.expires_at < now()
  `);
  if (taken === 1) return null;
  const [row] = await tx.$queryRaw<KeyRow<Result>[]>(sql`
    select body_hash, result from idempotency_keys
    where principal = ${principal} and mutation = ${mutation} and key = ${idempotencyKey}
  `);
  if (row?.result && bodyHash.equals(row.body_hash)) return row.result;
  throw new DomainError('IDEMPOTENCY_KEY_REUSED', 'This idempotency key was used before, with another input.', [
    'idempotencyKey',
  ]);
}

/**
 * JSON with sorted keys, so that the order in which a client writes its fields does not matter. A field that is absent is not
 * the same as one that is null: one keeps a value, the other removes it.
 */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner) || inner instanceof Date) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Removes keys whose time is over, a bounded number at a time. Repeats of their writes are new writes then. */
export async function forgetIdempotencyKeys(db: Pick<Database, '$executeRaw'>): Promise<void> {
  await db.$executeRaw(sql`
    delete from idempotency_keys where (principal, mutation, key) in (
      select principal, mutation, key from idempotency_keys where expires_at < now() order by expires_at limit 10000
      for update skip locked
    )
  `);
}
