import type { ApiKeyKind } from '../generated/prisma/enums.ts';
import { newId } from '../ids.ts';
import type { Database, Transaction } from '../storage/database.ts';
import { sql } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
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
  return inTransaction(db, async (tx) => {
    // Two processes that start at once: the second waits, then finds everything there.
    await tx.$executeRaw(sql`select pg_advisory_xact_lock(hashtext('carillon first start'))`);
    const appId = await findOrMakeApp(tx);
    const serverKey = await makeKey(tx, {
      kind: 'SERVER',
      name: 'first server key',
      appId: null,
      given: given.serverKey,
    });
    const appKey = await makeKey(tx, { kind: 'APP', name: 'first app key', appId, given: given.appKey });
    return { serverKey, appKey };
  });
}

async function findOrMakeApp(tx: Transaction): Promise<string> {
  const [first] = await tx.$queryRaw<{ id: string }[]>(sql`select id from apps order by created_at limit 1`);
  if (first) return first.id;
  const id = newId();
  await tx.$executeRaw(sql`insert into apps (id, name) values (${id}::uuid, 'default')`);
  return id;
}

interface NewKey {
  kind: ApiKeyKind;
  name: string;
  appId: string | null;
  given: string | null;
}

async function makeKey(tx: Transaction, { kind, name, appId, given }: NewKey): Promise<string | null> {
  const [known] = await tx.$queryRaw<unknown[]>(
    sql`select id from api_keys where kind = ${kind}::api_key_kind limit 1`,
  );
  if (known) return null;
  const secret = given ?? newSecret(kind);
  await tx.$executeRaw(sql`
    insert into api_keys (id, kind, name, app_id, secret_hash)
    values (${newId()}::uuid, ${kind}::api_key_kind, ${name}, ${appId}::uuid, ${hashSecret(secret)})
  `);
  return secret;
}
