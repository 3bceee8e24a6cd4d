import type { FileLine } from './file-lines.ts';

/** What stands in a file between two others: a line, or in CSV the lines that a quoted field runs over. */
export interface FileRecord<Content> {
  /** Of its first line. */
  number: number;
  /** Of the byte after its end. */
  endOffset: number;
  /** Of its last line. */
  endNumber: number;
  /** Null where there is a mistake. */
  content: Content | null;
  /** Why it cannot be read, as a sentence; null: it can. */
  mistake: string | null;
}

/** Lines that one record may run over. @default 1_000 */
const recordLinesMax = 1_000;
/** @default 1_048_576 // characters of a record that runs over several lines */
const recordCharactersMax = 1_048_576;

/**
 * Puts lines of CSV (RFC 4180) together to records. A mistake costs one line: when the quote that it opens is closed nowhere,
 * or in the middle of another field, what follows is read as if that line had not been there.
 */
export class CsvRecords {
  readonly #delimiter: string;
  /** Lines of a record whose last field is still open. */
  #open: FileLine[] = [];
  #openCharacters = 0;

  constructor(delimiter: string) {
    this.#delimiter = delimiter;
  }

  push(lines: readonly FileLine[]): FileRecord<string[]>[] {
    const records: FileRecord<string[]>[] = [];
    this.#take(lines, records);
    return records;
  }

  /** What is left when there are no more lines. */
  end(): FileRecord<string[]>[] {
    const records: FileRecord<string[]>[] = [];
    while (this.#open.length > 0) this.#take(this.#giveUp(unclosed, records), records);
    return records;
  }

  #take(given: readonly FileLine[], records: FileRecord<string[]>[]): void {
    // The next one is the last: lines come back in front when a record is given up.
    const waiting = given.toReversed();
    for (let line = waiting.pop(); line; line = waiting.pop()) {
      for (const again of this.#takeLine(line, records).toReversed()) waiting.push(again);
    }
  }

  /** @returns the lines that are to be read again. */
  #takeLine(line: FileLine, records: FileRecord<string[]>[]): readonly FileLine[] {
    const isInside = this.#open.length > 0;
    if (line.mistake !== null) {
      if (isInside) return [...this.#giveUp(unclosed, records), line];
      records.push(toRecord([line], null, line.mistake));
      return [];
    }
    if (!isInside && isBlank(line.text)) return [];
    this.#open.push(line);
    this.#openCharacters += line.text.length + 1;
    // Within quotes only another quote ends anything.
    const isStillOpen = isInside && !line.text.includes('"');
    const fields = isStillOpen ? 'unclosed' : splitFields(this.#openText(), this.#delimiter);
    if (fields === 'stray') return this.#giveUp(stray, records);
    if (fields !== 'unclosed') {
      records.push(toRecord(this.#close(), fields, null));
      return [];
    }
    const isTooLong = this.#open.length > recordLinesMax || this.#openCharacters > recordCharactersMax;
    return isTooLong ? this.#giveUp(unclosed, records) : [];
  }

  #openText(): string {
    const text = this.#open.map((line) => line.text).join('\n');
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  }

  #close(): FileLine[] {
    const lines = this.#open;
    this.#open = [];
    this.#openCharacters = 0;
    return lines;
  }

  #giveUp(mistake: string, records: FileRecord<string[]>[]): readonly FileLine[] {
    const [first, ...rest] = this.#close();
    if (first) records.push(toRecord([first], null, mistake));
    return rest;
  }
}

const unclosed = 'A quote that is opened here is never closed.';
const stray = 'A quote stands within a field: such a field is to be quoted, and the quote doubled.';

const isBlank = (text: string): boolean => text === '' || text === '\r';

function toRecord(lines: readonly FileLine[], content: string[] | null, mistake: string | null): FileRecord<string[]> {
  const [first, last] = [lines[0], lines.at(-1)];
  if (!first || !last) throw new Error('A record has a line.');
  return { number: first.number, endOffset: last.endOffset, endNumber: last.number, content, mistake };
}

/** The fields of a record; or that a quote in it is not closed, or stands where none may. */
export function splitFields(text: string, delimiter: string): string[] | 'unclosed' | 'stray' {
  if (!text.includes('"')) return text.split(delimiter);
  const fields: string[] = [];
  for (let at = 0; ; at += 1) {
    const field = text.startsWith('"', at) ? takeQuoted(text, at) : takePlain(text, at, delimiter);
    if (typeof field === 'string') return field;
    fields.push(field.value);
    at = field.end;
    if (at === text.length) return fields;
    if (text[at] !== delimiter) return 'stray';
  }
}

function takePlain(text: string, start: number, delimiter: string): { value: string; end: number } | 'stray' {
  const found = text.indexOf(delimiter, start);
  const end = found < 0 ? text.length : found;
  const value = text.slice(start, end);
  return value.includes('"') ? 'stray' : { value, end };
}

function takeQuoted(text: string, start: number): { value: string; end: number } | 'unclosed' {
  let value = '';
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) return 'unclosed';
    if (text[quote + 1] !== '"') return { value: value + text.slice(from, quote), end: quote + 1 };
    value += text.slice(from, quote + 1);
    from = quote + 2;
  }
}

/** Lines of NDJSON as records; what is no JSON object is one with a mistake, which quotes nothing of it. */
export function toJsonRecords(lines: readonly FileLine[]): FileRecord<Record<string, unknown>>[] {
  return lines
    .filter(({ text, mistake }) => mistake !== null || text.trim() !== '')
    .map((line) => {
      const content = line.mistake === null ? parseJsonObject(line.text) : null;
      const mistake = line.mistake ?? (content ? null : 'This is no JSON object.');
      return { number: line.number, endOffset: line.endOffset, endNumber: line.number, content, mistake };
    });
}

function parseJsonObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Whether a value of JSON is an object, and no list. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
