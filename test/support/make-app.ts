import { randomUUID } from 'node:crypto';
import { hashSecret } from '../../src/apps/api-key.ts';
import { newId } from '../../src/ids.ts';
import { documentIdOf } from '../../src/operations/prepare-operation.ts';
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

/** Registers a document for a partner without looking at it, and answers its id. */
export async function registerOperation(
  { pool }: Pick<FileApp, 'pool'>,
  { partner, document }: { partner: string; document: string },
): Promise<string> {
  const documentId = documentIdOf(document);
  await pool.query(sql`
    insert into registered_operations (id, partner, document_id, name, document, cost)
    values (${newId()}::uuid, ${partner}, ${documentId}, 'Operation', ${document}, 1)`);
  return documentId;
}
