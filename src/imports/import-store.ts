import { DomainError } from '../errors.ts';
import type { Import } from '../generated/prisma/client.ts';
import { newId } from '../ids.ts';
import type { Cipher } from '../storage/cipher.ts';
import { type Database, sql, type Transaction } from '../storage/database.ts';
import type { FilePosition } from './file-lines.ts';
import { type ImportOptions, importOptionsSchema } from './import-options.ts';
import type { Refusal } from './read-pages.ts';

/** An import that may go on: what it reads, and how far it has come. */
export interface OpenImport {
  id: string;
  options: ImportOptions;
  at: FilePosition;
}

/** A file as it is told from others. */
export interface KnownFile {
  /** Without its folder. */
  name: string;
  /** Of its bytes. */
  hash: Uint8Array<ArrayBuffer>;
}

/** As what a file's bytes are remembered, from the SHA-256 of them in hex. */
export function fileHash(cipher: Cipher, sha256: string): Uint8Array<ArrayBuffer> {
  return cipher.hash('import file', sha256);
}

/** The latest unfinished import of the same file that reads it in the same way; null: there is none. */
export async function findUnfinishedImport(
  db: Database,
  file: KnownFile,
  options: ImportOptions,
): Promise<OpenImport | null> {
  const [row] = await db.$queryRaw<{ id: string }[]>(sql`
    select id from imports
    where file_hash = ${file.hash} and options = ${JSON.stringify(options)}::jsonb
      and finished_at is null and undo_started_at is null
    order by id desc limit 1
  `);
  return row ? toOpenImport(await db.import.findUniqueOrThrow({ where: { id: row.id } })) : null;
}

/** @throws DomainError `NOT_FOUND`; `STATE_CONFLICT`: it is finished, undone, or of another file. */
export async function getUnfinishedImport(db: Database, id: string, file: KnownFile): Promise<OpenImport> {
  const row = await getImport(db, id);
  if (row.finishedAt) throw new DomainError('STATE_CONFLICT', 'This import is finished.');
  if (row.undoStartedAt) throw new DomainError('STATE_CONFLICT', 'This import is undone.');
  if (!Buffer.from(file.hash).equals(row.fileHash)) {
    throw new DomainError('STATE_CONFLICT', 'This is not the file of that import, or it has changed since.');
  }
  return toOpenImport(row);
}

/** @throws DomainError `NOT_FOUND` */
export async function getImport(db: Database, id: string): Promise<Import> {
  const row = await db.import.findUnique({ where: { id } });
  if (!row) throw new DomainError('NOT_FOUND', 'There is no such import.');
  return row;
}

function toOpenImport({ id, options, byteOffset, lineNumber }: Import): OpenImport {
  return { id, options: importOptionsSchema.parse(options), at: { byteOffset: Number(byteOffset), lineNumber } };
}

export async function addImport(db: Database, file: KnownFile, options: ImportOptions): Promise<OpenImport> {
  const id = newId();
  await db.import.create({ data: { id, fileName: file.name, fileHash: file.hash, options } });
  return { id, options, at: { byteOffset: 0, lineNumber: 0 } };
}

/** What a page comes to. */
export interface PageCounts {
  made: number;
  saved: number;
  refused: number;
  nameless: number;
}

/**
 * Moves an import on by a page, in the page's transaction: so each is written once, whoever reads it.
 *
 * @param at where it is, as far as the caller knows.
 * @throws DomainError `STATE_CONFLICT` when it is not.
 */
export async function moveImport(
  tx: Transaction,
  { id, at, end, counts }: { id: string; at: FilePosition; end: FilePosition; counts: PageCounts },
): Promise<void> {
  const moved = await tx.$executeRaw(sql`
    update imports set
      byte_offset = ${end.byteOffset}::bigint, line_number = ${end.lineNumber}::int,
      made_count = made_count + ${counts.made}::int, saved_count = saved_count + ${counts.saved}::int,
      refused_count = refused_count + ${counts.refused}::int, nameless_count = nameless_count + ${counts.nameless}::int
    where id = ${id}::uuid and finished_at is null and undo_started_at is null
      and line_number = ${at.lineNumber}::int and byte_offset = ${at.byteOffset}::bigint
  `);
  if (moved === 1) return;
  throw new DomainError('STATE_CONFLICT', 'Another process goes on with this import, or undoes it.');
}

/** @throws DomainError `STATE_CONFLICT` as {@link moveImport} does. */
export async function finishImport(db: Database, id: string, lineNumber: number): Promise<Import> {
  await db.$executeRaw(sql`
    update imports set finished_at = now()
    where id = ${id}::uuid and finished_at is null and undo_started_at is null and line_number = ${lineNumber}::int
  `);
  const row = await getImport(db, id);
  if (row.finishedAt) return row;
  throw new DomainError('STATE_CONFLICT', 'Another process goes on with this import, or undoes it.');
}

export async function addRefusals(tx: Transaction, importId: string, refusals: readonly Refusal[]): Promise<void> {
  if (refusals.length === 0) return;
  await tx.$executeRaw(sql`
    insert into import_refusals (import_id, line_number, code, message, path)
    select ${importId}::uuid, line_number, code, message, path
    from jsonb_to_recordset(${JSON.stringify(refusals.map(toRow))}::jsonb)
      as given (line_number int, code text, message text, path text[])
  `);
}

function toRow({ lineNumber, code, message, path }: Refusal) {
  return { line_number: lineNumber, code, message, path };
}

/** @default 1_000 // refusals a statement */
const refusalsPerPage = 1_000;

/** Why records of an import were refused, in the order of the file. */
export async function* listRefusals(
  db: Database,
  importId: string,
): AsyncGenerator<{ lineNumber: number; code: string; message: string; path: string[] }[]> {
  for (let after = -1; ; ) {
    const page = await db.importRefusal.findMany({
      where: { importId, lineNumber: { gt: after } },
      orderBy: { lineNumber: 'asc' },
      take: refusalsPerPage,
      omit: { importId: true },
    });
    if (page.length > 0) yield page;
    if (page.length < refusalsPerPage) return;
    after = page.at(-1)?.lineNumber ?? after;
  }
}
