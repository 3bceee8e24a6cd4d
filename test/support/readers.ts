import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import type { Access } from '../../src/stream/hub/gate.ts';
import { insertUser } from './log-events.ts';

type Queryable = Pick<pg.Pool, 'query'>;

/** What a reader is told whose rights have ended. */
export const refusal = 'This reader may not read on.';

/** What a stream's reader is told at the end; null when it ends without a word. */
export async function refusalOf(reading: Promise<unknown>): Promise<string | null> {
  try {
    await reading;
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Runs `body` in one transaction, on a connection of its own. */
export async function inTransaction<Result>(
  pool: pg.Pool,
  body: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const result = await body(client);
    await client.query('commit');
    return result;
  } finally {
    client.release();
  }
}

/** An installation with a token that is in force. */
export async function insertInstallation(pool: Queryable, userId: string): Promise<string> {
  const [id, appId] = [newId(), newId()];
  await pool.query(sql`insert into apps (id, name) values (${appId}::uuid, ${appId})`);
  await pool.query(sql`
    insert into installations (id, app_id, user_id, platform)
    values (${id}::uuid, ${appId}::uuid, ${userId}::uuid, 'WEB')`);
  await insertToken(pool, id, '30 days');
  return id;
}

/** @param forHow how long it is in force, as PostgreSQL writes intervals. */
async function insertToken(pool: Queryable, installationId: string, forHow: string): Promise<void> {
  await pool.query(sql`
    insert into installation_tokens (secret_hash, installation_id, expires_at)
    values (${randomBytes(32)}, ${installationId}::uuid, now() + ${forHow}::interval)`);
}

export async function moveInstallation(pool: Queryable, installationId: string, userId: string): Promise<void> {
  await pool.query(sql`update installations set user_id = ${userId}::uuid where id = ${installationId}::uuid`);
}

/** A server key. */
export async function insertKey(pool: Queryable): Promise<string> {
  const id = newId();
  await pool.query(sql`
    insert into api_keys (id, kind, name, secret_hash) values (${id}::uuid, 'SERVER', 'test', ${randomBytes(32)})`);
  return id;
}

export async function revokeKey(pool: Queryable, keyId: string): Promise<void> {
  await pool.query(sql`update api_keys set revoked_at = now() where id = ${keyId}::uuid`);
}

/** An installation of a new user, which may read that user's stream for as long as it is theirs. */
export async function makeOwner(pool: Queryable) {
  const userId = await insertUser(pool);
  const installationId = await insertInstallation(pool, userId);
  const access = accessBy(
    pool,
    installationId,
    sql`
    select from installations i join users u on i.user_id = coalesce(u.merged_into_id, u.id)
    where i.id = ${installationId}::uuid and u.id = ${userId}::uuid
      and exists (select from installation_tokens where installation_id = i.id and expires_at > now())`,
  );
  return { userId, installationId, access };
}

/** A server key, which may read every stream for as long as it is in force. */
export async function makeKeyHolder(pool: Queryable) {
  const keyId = await insertKey(pool);
  return {
    keyId,
    access: accessBy(pool, keyId, sql`select from api_keys where id = ${keyId}::uuid and revoked_at is null`),
  };
}

/** The right to read for as long as the statement finds a row. */
function accessBy(pool: Queryable, subjectId: string, statement: ReturnType<typeof sql>): Access {
  return {
    subjectId,
    expiresAt: null,
    async findRefusal() {
      const { rowCount } = await pool.query(statement);
      return rowCount === 0 ? new Error(refusal) : null;
    },
  };
}
