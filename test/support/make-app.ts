import { randomUUID } from 'node:crypto';
import { hashSecret } from '../../src/apps/api-key.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import type { FileApp } from './app.ts';

/** An app whose pages of these origins may call, and its publishable key. */
export async function makeApp(
  { pool }: Pick<FileApp, 'pool'>,
  allowedOrigins: readonly string[] = [],
): Promise<{ id: string; secret: string }> {
  const [id, secret] = [newId(), `app-key-${randomUUID()}`];
  await pool.query(sql`
    insert into apps (id, name, allowed_origins) values (${id}::uuid, ${id}, ${[...allowedOrigins]}::text[])`);
  await pool.query(sql`
    insert into api_keys (id, kind, name, app_id, secret_hash)
    values (${newId()}::uuid, 'APP', ${id}, ${id}::uuid, ${Buffer.from(hashSecret(secret))})`);
  return { id, secret };
}

/** A key of a partner, and its secret. */
export async function makePartner({ pool }: Pick<FileApp, 'pool'>): Promise<{ partner: string; secret: string }> {
  const [partner, secret] = [`partner-${randomUUID()}`, `partner-key-${randomUUID()}`];
  await pool.query(sql`
    insert into api_keys (id, kind, name, partner, secret_hash)
    values (${newId()}::uuid, 'PARTNER', ${partner}, ${partner}, ${Buffer.from(hashSecret(secret))})`);
  return { partner, secret };
}

/** A key of a dashboard. */
export async function makeDashboard({ pool }: Pick<FileApp, 'pool'>): Promise<string> {
  const secret = `dashboard-key-${randomUUID()}`;
  await pool.query(sql`
    insert into api_keys (id, kind, name, secret_hash)
    values (${newId()}::uuid, 'DASHBOARD', ${secret}, ${Buffer.from(hashSecret(secret))})`);
  return secret;
}
