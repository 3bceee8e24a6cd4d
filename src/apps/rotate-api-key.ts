import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { ApiKeyKind } from '../generated/prisma/enums.ts';
import { type Database, sql } from '../storage/database.ts';
import { hashSecret, newSecret } from './api-key.ts';
import { type IssuedSecret, writeSecret } from './write-secret.ts';

/** A new secret for a key that stays the same. */
export interface ApiKeyRotation {
  principal: string;
  apiKeyId: string;
  /** How long the present secret goes on working. */
  graceSeconds: number;
  idempotencyKey?: string | null | undefined;
}

/** @default 604_800 // 7 days */
const graceSecondsMax = 604_800;

interface KeyRow {
  kind: ApiKeyKind;
  revoked_at: Date | null;
}

/**
 * Gives a key a new secret. Its id stays, and with it who it is in records and idempotency keys. The secret before works
 * until the grace is over; one from before that stops at once.
 *
 * @throws DomainError `NOT_FOUND`, `VALUE_INVALID`, `STATE_CONFLICT` (revoked), `IDEMPOTENCY_KEY_REUSED`.
 */
export async function rotateApiKey(deployment: Deployment, request: ApiKeyRotation): Promise<IssuedSecret> {
  const { principal, idempotencyKey, ...input } = request;
  const { apiKeyId, graceSeconds } = input;
  if (graceSeconds < 0 || graceSeconds > graceSecondsMax) {
    throw new DomainError('VALUE_INVALID', `From 0 to ${graceSecondsMax} seconds.`, ['graceSeconds']);
  }
  return writeSecret(deployment, { principal, mutation: 'rotateApiKey', idempotencyKey, input }, async (tx) => {
    const [key] = await tx.$queryRaw<KeyRow[]>(
      sql`select kind, revoked_at from api_keys where id = ${apiKeyId}::uuid for no key update`,
    );
    if (!key) throw new DomainError('NOT_FOUND', 'There is no such key.', ['apiKey']);
    if (key.revoked_at !== null) throw new DomainError('STATE_CONFLICT', 'The key was revoked.', ['apiKey']);
    const secret = newSecret(key.kind);
    await tx.$executeRaw(sql`
      update api_keys set
        secret_hash = ${hashSecret(secret)},
        previous_secret_hash = case when ${graceSeconds}::int > 0 then secret_hash end,
        previous_expires_at = case when ${graceSeconds}::int > 0 then now() + make_interval(secs => ${graceSeconds}::int) end
      where id = ${apiKeyId}::uuid
    `);
    return { written: { apiKeyId }, secret };
  });
}

/** Forgets secrets whose grace is over: a trigger then tells the gateways, which end the streams opened with them. */
export async function endRotations(db: Pick<Database, '$executeRaw'>): Promise<void> {
  await db.$executeRaw(sql`
    update api_keys set previous_secret_hash = null, previous_expires_at = null
    where id in (select id from api_keys where previous_expires_at <= now() for no key update skip locked)
  `);
}
