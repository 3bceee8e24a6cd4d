import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { ApiKeyKind } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { hashSecret, newSecret } from './api-key.ts';
import { parseName } from './name.ts';
import { parsePartnerName } from './partner-name.ts';
import { type IssuedSecret, writeSecret } from './write-secret.ts';

/** A new key. Its kind says whether it is of an app, or of a partner. */
export interface NewApiKey {
  principal: string;
  kind: ApiKeyKind;
  name: string;
  /** Of an APP key, and of no other. */
  appId?: string | null | undefined;
  /** Of a PARTNER key, and of no other. */
  partner?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** @throws DomainError `VALUE_INVALID`, `NOT_FOUND` (the app), `IDEMPOTENCY_KEY_REUSED`. */
export async function createApiKey(deployment: Deployment, request: NewApiKey): Promise<IssuedSecret> {
  const { principal, idempotencyKey, ...input } = request;
  const { kind } = input;
  const owner = { name: parseName(input.name), appId: parseAppId(input), partner: parsePartner(input) };
  return writeSecret(deployment, { principal, mutation: 'createApiKey', idempotencyKey, input }, async (tx) => {
    if (owner.appId !== null) await holdApp(tx, owner.appId);
    const [apiKeyId, secret] = [newId(), newSecret(kind)];
    await tx.$executeRaw(sql`
      insert into api_keys (id, kind, name, app_id, partner, secret_hash)
      values (
        ${apiKeyId}::uuid, ${kind}::api_key_kind, ${owner.name}, ${owner.appId}::uuid, ${owner.partner}, ${hashSecret(secret)}
      )
    `);
    return { written: { apiKeyId }, secret };
  });
}

function parseAppId({ kind, appId = null }: NewApiKeyInput): string | null {
  if ((kind === 'APP') === (appId !== null)) return appId ?? null;
  throw new DomainError('VALUE_INVALID', 'An APP key is of an app, and no other key is.', ['app']);
}

function parsePartner({ kind, partner = null }: NewApiKeyInput): string | null {
  if ((kind === 'PARTNER') !== (partner !== null)) {
    throw new DomainError('VALUE_INVALID', 'A PARTNER key is of a partner, and no other key is.', ['partner']);
  }
  return partner === null ? null : parsePartnerName(partner);
}

type NewApiKeyInput = Pick<NewApiKey, 'kind' | 'appId' | 'partner'>;

/** Until the commit, so that it cannot be deleted meanwhile. */
async function holdApp(tx: Transaction, appId: string): Promise<void> {
  const [app] = await tx.$queryRaw<unknown[]>(sql`select id from apps where id = ${appId}::uuid for key share`);
  if (!app) throw new DomainError('NOT_FOUND', 'There is no such app.', ['app']);
}
