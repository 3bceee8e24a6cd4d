import { setImmediate } from 'node:timers/promises';
import type { Deployment } from '../deployment.ts';
import { DomainError, type ErrorCode } from '../errors.ts';
import { type ParsedSave, parseSave } from '../identity/save/parse-save.ts';
import { CsvRecords, type FileRecord, toJsonRecords } from './csv-records.ts';
import { type FilePosition, readLines } from './file-lines.ts';
import type { ImportOptions } from './import-options.ts';
import type { Layout } from './layout.ts';
import { fileRefusal, type LineDraft, type OptOutChannel, toImportLine } from './line-draft.ts';
import { type RecordReader, toCsvReader, toJsonReader } from './record-reader.ts';

/** One record, ready to be saved. */
export interface PageLine {
  save: ParsedSave;
  optOuts: readonly OptOutChannel[];
  /** Of its first line. */
  number: number;
}

/** Why a record is not imported. Nothing of what is in it. */
export interface Refusal {
  /** Where it begins in the file, from 1. */
  lineNumber: number;
  code: ErrorCode;
  message: string;
  /** Of the field; empty: the whole record. */
  path: readonly string[];
}

/** Records that are saved together. */
export interface ImportPage {
  lines: PageLine[];
  refusals: Refusal[];
  /** Records that name nobody. */
  namelessCount: number;
  /** Where the page before it ends, and where it does. */
  after: FilePosition;
  end: FilePosition;
}

/** A file and how it is read. */
export interface FileReading {
  file: string;
  options: ImportOptions;
  layout: Layout;
  rules: Deployment['rules'];
}

/** @default 2_000 // records a page, that is a transaction */
const recordsPerPage = 2_000;
/** How many are read before others get their turn. @default 50 // records */
const recordsPerTurn = 50;

/**
 * Reads a file in pages, from a place where a page has ended, or from the beginning. Every few records others get their turn,
 * so that the next page can be read while one is written.
 *
 * @throws DomainError `VALUE_INVALID` when the file has no header that can be read.
 */
export async function* readPages(reading: FileReading, after: FilePosition): AsyncGenerator<ImportPage> {
  const { start, read } = await openRecords(reading);
  let page = newPage(after.lineNumber < start.lineNumber ? start : after);
  for await (const records of read(page.after)) {
    for (const [index, record] of records.entries()) {
      if (index % recordsPerTurn === 0) await setImmediate();
      takeRecord(page, record, reading);
      if (page.lines.length + page.refusals.length + page.namelessCount < recordsPerPage) continue;
      yield page;
      page = newPage(page.end);
    }
  }
  if (page.end.lineNumber > page.after.lineNumber) yield page;
}

function newPage(after: FilePosition): ImportPage {
  return { lines: [], refusals: [], namelessCount: 0, after, end: after };
}

function takeRecord(page: ImportPage, record: OpenRecord, { options, rules }: FileReading): void {
  page.end = { byteOffset: record.endOffset, lineNumber: record.endNumber };
  try {
    const line = toImportLine(record.toDraft(), options.mode);
    if (!line) page.namelessCount += 1;
    else {
      const save = parseSave(line.save, { rules }, [String(record.number)]);
      page.lines.push({ save, optOuts: line.optOuts, number: record.number });
    }
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    page.refusals.push(toRefusal(record.number, error));
  }
}

/** What is told of a record that is refused. The path of its save begins with its line's number. */
export function toRefusal(lineNumber: number, { code, message, inputPath }: DomainError): Refusal {
  const path = inputPath ?? [];
  return { lineNumber, code, message, path: path[0] === String(lineNumber) ? path.slice(1) : path };
}

/** A record whose fields are still to be read. */
interface OpenRecord extends Pick<FileRecord<unknown>, 'number' | 'endOffset' | 'endNumber'> {
  /** @throws DomainError */
  toDraft(): LineDraft;
}

/** The records of a file, and where the first one begins. */
interface OpenRecords {
  start: FilePosition;
  read(after: FilePosition): AsyncGenerator<OpenRecord[]>;
}

async function openRecords({ file, options, layout }: FileReading): Promise<OpenRecords> {
  const unknown = { ignoresUnknown: options.ignoreUnknownColumns };
  if (options.format === 'ndjson') {
    const reader = toJsonReader(layout, unknown);
    return {
      start: { byteOffset: 0, lineNumber: 0 },
      async *read(after) {
        for await (const lines of readLines(file, after)) yield toOpenRecords(toJsonRecords(lines), reader);
      },
    };
  }
  const header = await readHeader(file, options.delimiter);
  const reader = toCsvReader(header.content ?? [], layout, unknown);
  return {
    start: { byteOffset: header.endOffset, lineNumber: header.endNumber },
    async *read(after) {
      const csv = new CsvRecords(options.delimiter);
      for await (const lines of readLines(file, after)) yield toOpenRecords(csv.push(lines), reader);
      yield toOpenRecords(csv.end(), reader);
    },
  };
}

async function readHeader(file: string, delimiter: string): Promise<FileRecord<string[]>> {
  const csv = new CsvRecords(delimiter);
  let header: FileRecord<string[]> | undefined;
  for await (const lines of readLines(file, { byteOffset: 0, lineNumber: 0 })) {
    [header] = csv.push(lines);
    if (header) break;
  }
  header ??= csv.end()[0];
  if (header?.content) return header;
  throw fileRefusal(`The file has no header: ${header?.mistake ?? 'it is empty.'}`);
}

function toOpenRecords<Content>(records: readonly FileRecord<Content>[], reader: RecordReader<Content>): OpenRecord[] {
  return records.map(({ content, mistake, ...place }) => ({
    ...place,
    toDraft() {
      if (content !== null) return reader(content);
      throw new DomainError('VALUE_INVALID', mistake ?? 'This cannot be read.', []);
    },
  }));
}
