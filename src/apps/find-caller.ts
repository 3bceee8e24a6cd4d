import { type Database, sql } from '../storage/database.ts';
import { hashSecret, secretPrefixes } from './api-key.ts';
import type { Caller } from './caller.ts';

/**
 * Who holds `secret`, or null when nobody does (unknown, revoked). Looked up by hash, so that comparing takes no time
 * that depends on the secret. An expired installation token still tells whose it was.
 */
export async function findCaller(db: Database, secret: string): Promise<Caller | null> {
  if (secret.startsWith(secretPrefixes.INSTALLATION)) return findInstallation(db, secret);
  const key = await db.apiKey.findUnique({ where: { secretHash: hashSecret(secret) } });
  if (!key || key.revokedAt) return null;
  const principal = `key:${key.id}`;
  if (key.kind === 'SERVER') return { kind: 'SERVER', principal };
  return key.appId === null ? null : { kind: 'APP', principal, appId: key.appId };
}

interface TokenRow {
  id: string;
  app_id: string;
  is_expired: boolean;
}

async function findInstallation(db: Database, secret: string): Promise<Caller | null> {
  const tokenHash = hashSecret(secret);
  const [row] = await db.$queryRaw<TokenRow[]>(sql`
    select i.id, i.app_id, t.expires_at <= now() as is_expired
    from installation_tokens t
    join installations i on i.id = t.installation_id
    where t.secret_hash = ${tokenHash}
  `);
  if (!row) return null;
  return {
    kind: 'INSTALLATION',
    principal: `installation:${row.id}`,
    appId: row.app_id,
    installationId: row.id,
    tokenHash,
    isExpired: row.is_expired,
  };
}
