import { type Database, sql } from '../storage/database.ts';
import { hashSecret, secretPrefixes } from './api-key.ts';
import type { Caller } from './caller.ts';

/**
 * Who holds `secret`, or null when nobody does (unknown, revoked). Looked up by hash, so that comparing takes no time
 * that depends on the secret. An expired installation token still tells whose it was.
 */
export async function findCaller(db: Database, secret: string): Promise<Caller | null> {
  const secretHash = hashSecret(secret);
  return secret.startsWith(secretPrefixes.INSTALLATION) ? findInstallation(db, secretHash) : findKey(db, secretHash);
}

/** Who the caller is by now: null when its key or token is no longer known, or revoked. */
export async function findCallerAgain(db: Database, { kind, secretHash }: Caller): Promise<Caller | null> {
  return kind === 'INSTALLATION' ? findInstallation(db, secretHash) : findKey(db, secretHash);
}

async function findKey(db: Database, secretHash: Caller['secretHash']): Promise<Caller | null> {
  const key = await db.apiKey.findFirst({
    where: {
      revokedAt: null,
      OR: [{ secretHash }, { previousSecretHash: secretHash, previousExpiresAt: { gt: new Date() } }],
    },
  });
  if (!key) return null;
  const { kind, appId, partner } = key;
  const credential = { principal: `key:${key.id}`, subjectId: key.id, secretHash };
  if (kind === 'SERVER' || kind === 'DASHBOARD') return { kind, ...credential };
  if (kind === 'PARTNER') return partner === null ? null : { kind, ...credential, partner };
  return appId === null ? null : { kind, ...credential, appId };
}

interface TokenRow {
  id: string;
  app_id: string;
  expires_at: Date;
  is_expired: boolean;
}

async function findInstallation(db: Database, secretHash: Caller['secretHash']): Promise<Caller | null> {
  const [row] = await db.$queryRaw<TokenRow[]>(sql`
    select i.id, i.app_id, t.expires_at, t.expires_at <= now() as is_expired
    from installation_tokens t
    join installations i on i.id = t.installation_id
    where t.secret_hash = ${secretHash}
  `);
  if (!row) return null;
  return {
    kind: 'INSTALLATION',
    principal: `installation:${row.id}`,
    subjectId: row.id,
    secretHash,
    appId: row.app_id,
    installationId: row.id,
    expiresAt: row.expires_at,
    isExpired: row.is_expired,
  };
}
