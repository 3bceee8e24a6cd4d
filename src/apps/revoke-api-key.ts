import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { ApiKeyKind } from '../generated/prisma/enums.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';

/** A key that is to work no more. */
export interface ApiKeyRevocation {
  principal: string;
  apiKeyId: string;
  idempotencyKey?: string | null | undefined;
}

interface KeyRow {
  id: string;
  kind: ApiKeyKind;
  revoked_at: Date | null;
}

/**
 * Ends a key, with its streams on every gateway. One that was revoked before stays as it is. The last server key is not
 * revoked: nobody could make another.
 *
 * @throws DomainError `NOT_FOUND`, `STATE_CONFLICT` (the last server key), `IDEMPOTENCY_KEY_REUSED`.
 */
export async function revokeApiKey(deployment: Deployment, request: ApiKeyRevocation): Promise<{ apiKeyId: string }> {
  const { principal, idempotencyKey, apiKeyId } = request;
  const named = { principal, mutation: 'revokeApiKey', idempotencyKey, input: { apiKeyId } };
  return write(deployment, named, async (tx) => {
    // With every server key that is in force: of two that revoke the last two at once, the second sees what the first did.
    const rows = await tx.$queryRaw<KeyRow[]>(sql`
      select id, kind, revoked_at from api_keys
      where id = ${apiKeyId}::uuid or (kind = 'SERVER' and revoked_at is null)
      order by id for no key update
    `);
    const key = rows.find(({ id }) => id === apiKeyId);
    if (!key) throw new DomainError('NOT_FOUND', 'There is no such key.', ['apiKey']);
    if (key.revoked_at === null && key.kind === 'SERVER' && rows.length === 1) {
      throw new DomainError('STATE_CONFLICT', 'The last server key is not revoked: make another first.', ['apiKey']);
    }
    await tx.$executeRaw(
      sql`update api_keys set revoked_at = now() where id = ${apiKeyId}::uuid and revoked_at is null`,
    );
    return { apiKeyId };
  });
}
