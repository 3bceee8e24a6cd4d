import type { ApiKeyKind } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import type { Database, Transaction } from '../storage/database.ts';
import { sql } from '../storage/database.ts';
import { hashSecret, newSecret } from './api-key.ts';

/** Secrets of the first keys. Null: none. */
export interface FirstKeys {
  serverKey: string | null;
  appKey: string | null;
}

/**
 * Makes the deployment usable: the default app, a server key and that app's publishable key, where there are none yet.
 * `given` keys (from the environment, or kept from an earlier start) are used as they are; later starts change nothing.
 * Safe when several processes start at once.
 *
 * @returns the keys that this call made; null where there was one already.
 */
export async function prepareFirstStart(db: Database, given: FirstKeys): Promise<FirstKeys> {
  return db.$transaction(async (tx) => {
    // Two processes that start at once: the second waits, then finds everything there.
    await tx.$executeRaw(sql`select pg_advisory_xact_lock(hashtext('carillon first start'))`);
    const app =
      (await tx.app.findFirst({ orderBy: { createdAt: 'asc' } })) ??
      (await tx.app.create({ data: { id: newId(), name: 'default' } }));
    const serverKey = await makeKey(tx, {
      kind: 'SERVER',
      name: 'first server key',
      appId: null,
      given: given.serverKey,
    });
    const appKey = await makeKey(tx, { kind: 'APP', name: 'first app key', appId: app.id, given: given.appKey });
    return { serverKey, appKey };
  });
}

interface NewKey {
  kind: ApiKeyKind;
  name: string;
  appId: string | null;
  given: string | null;
}

async function makeKey(tx: Transaction, { kind, name, appId, given }: NewKey): Promise<string | null> {
  if (await tx.apiKey.findFirst({ where: { kind } })) return null;
  const secret = given ?? newSecret(kind);
  await tx.apiKey.create({ data: { id: newId(), kind, name, appId, secretHash: hashSecret(secret) } });
  return secret;
}
