import { newId } from '../ids.ts';
import type { Logger } from '../logger.ts';
import { type Database, sql, type Transaction } from './database.ts';

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
export async function appendAudit(
  db: Pick<Transaction, '$executeRaw'>,
  { apiKeyId, action, subject }: AuditRecord,
): Promise<void> {
  await db.$executeRaw(sql`
    insert into audit_entries (id, api_key_id, action, subject)
    values (${newId()}::uuid, ${apiKeyId}::uuid, ${action}, ${toSubjectJson(subject)}::jsonb)
  `);
}

/** A record as it is kept. */
interface AuditEntry {
  id: string;
  at: Date;
  api_key_id: string;
  action: string;
  subject: string | null;
}

function toEntry({ apiKeyId, action, subject }: AuditRecord, at: Date): AuditEntry {
  return { id: newId(), at, api_key_id: apiKeyId, action, subject: toSubjectJson(subject) };
}

function toSubjectJson(subject: unknown): string | null {
  const json = JSON.stringify(subject ?? null);
  return json === 'null' || json.length > subjectCharactersMax ? null : json;
}

/** An entry that is there already is left alone: whoever does not know whether it was written writes it again. */
async function insertEntries(db: Pick<Transaction, '$executeRaw'>, entries: readonly AuditEntry[]): Promise<void> {
  await db.$executeRaw(sql`
    insert into audit_entries (id, at, api_key_id, action, subject)
    select id, at, api_key_id, action, subject::jsonb
    from jsonb_to_recordset(${JSON.stringify(entries)}::jsonb)
      as entry (id uuid, at timestamptz, api_key_id uuid, action text, subject text)
    on conflict (id) do nothing
  `);
}

/** The audit log for what writes nothing else, and so has no transaction of its own: what is read. */
export interface AuditTrail {
  /** Costs nothing: nobody waits for the database. */
  append(record: AuditRecord): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

/** Entries of one statement. @default 500 */
const batchMax = 500;
/** Entries that wait while the database cannot be reached. What comes after is lost, and how many is logged. @default 10_000 */
const waitingMax = 10_000;

/**
 * Gathers what is appended and writes it in batches, each `everyMs` after its first entry or as soon as it is full. What
 * could not be written is tried again with the next batch.
 *
 * @param everyMs @default 1_000 // 1 second
 */
export function createAuditTrail({ db, log }: { db: Database; log: Logger }, { everyMs = 1_000 } = {}): AuditTrail {
  const waiting: AuditEntry[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | null = null;
  let lostCount = 0;
  let isClosed = false;

  async function writeAll() {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchMax);
      try {
        await insertEntries(db, batch);
      } catch (err) {
        log.error({ err, waitingCount: waiting.length }, 'The audit log could not be written.');
        return;
      }
      waiting.splice(0, batch.length);
    }
    if (lostCount > 0) log.error({ lostCount }, 'Entries of the audit log were lost.');
    lostCount = 0;
  }

  function write() {
    clearTimeout(timer);
    timer = undefined;
    writing ??= writeAll().finally(() => {
      writing = null;
      if (waiting.length > 0 && !isClosed) timer ??= setTimeout(write, everyMs);
    });
  }

  return {
    append(record) {
      if (waiting.length >= waitingMax) {
        lostCount += 1;
        return;
      }
      waiting.push(toEntry(record, new Date()));
      if (waiting.length % batchMax === 0) write();
      else if (!isClosed) timer ??= setTimeout(write, everyMs);
    },
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await writing;
      await writeAll();
    },
  };
}
