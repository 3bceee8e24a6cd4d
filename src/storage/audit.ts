import { newId } from '../ids.ts';
import { type Database, sql } from './database.ts';

/** One thing that was done with a key. */
export interface AuditRecord {
  apiKeyId: string;
  /** A mutation's name, or the operation that a dashboard ran. */
  action: string;
  /** Ids of what came out, never personal data; as JSON of at most 4,096 characters, else it is left out. */
  subject: unknown;
}

/** @default 4_096 // characters */
const subjectCharactersMax = 4_096;

/** Adds to the audit log. Nothing changes or removes what is in it: a trigger refuses that. */
export async function appendAudit(db: Pick<Database, '$executeRaw'>, records: readonly AuditRecord[]): Promise<void> {
  const rows = records.map(({ apiKeyId, action, subject }) => {
    const json = JSON.stringify(subject ?? null);
    return { id: newId(), api_key_id: apiKeyId, action, subject: json.length > subjectCharactersMax ? null : subject };
  });
  await db.$executeRaw(sql`
    insert into audit_entries (id, api_key_id, action, subject)
    select id, api_key_id, action, subject
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as entry (id uuid, api_key_id uuid, action text, subject jsonb)
  `);
}
