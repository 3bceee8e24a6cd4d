import { StartupError } from '../errors.ts';
import type { Cipher } from './cipher.ts';
import { type Database, sql } from './database.ts';

const fingerprintName = 'encryption key fingerprint';

/**
 * Makes sure that this database is read with the key that it was written with: remembers the key's fingerprint at the
 * first start, and refuses another one later.
 *
 * @throws StartupError
 */
export async function checkEncryptionKey(db: Database, cipher: Cipher): Promise<void> {
  const kept = await keepFirst(db, fingerprintName, Buffer.from(cipher.fingerprint));
  if (!Buffer.from(kept).equals(Buffer.from(cipher.fingerprint))) {
    throw new StartupError('DATA_ENCRYPTION_KEY is not the key that this database was written with.');
  }
}

/** Whether this database was written with that key; null: with none yet. Changes nothing. */
export async function isEncryptionKeyOf(db: Database, cipher: Cipher): Promise<boolean | null> {
  const kept = await db.deploymentSecret.findUnique({ where: { name: fingerprintName } });
  return kept && Buffer.from(kept.value).equals(Buffer.from(cipher.fingerprint));
}

/**
 * A secret that the deployment makes for itself: made by `make` the first time, kept encrypted, the same ever after, for
 * every process.
 */
export async function keepSecret(
  db: Database,
  cipher: Cipher,
  secret: { name: string; make(): string },
): Promise<string> {
  const known = await db.deploymentSecret.findUnique({ where: { name: secret.name } });
  const value = known?.value ?? (await keepFirst(db, secret.name, cipher.encrypt(secret.name, secret.make())));
  return cipher.decrypt(secret.name, value);
}

/** Of several processes that start at once, the first one's value counts. */
async function keepFirst(db: Database, name: string, value: Uint8Array): Promise<Uint8Array> {
  await db.$executeRaw(sql`
    insert into deployment_secrets (name, value) values (${name}, ${value}) on conflict (name) do nothing
  `);
  return (await db.deploymentSecret.findUniqueOrThrow({ where: { name } })).value;
}
