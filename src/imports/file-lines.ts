import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

/** One line of a text file. */
export interface FileLine {
  /** From 1. */
  number: number;
  /** Of the byte after its end, in the file as it is when it is unpacked. */
  endOffset: number;
  /** Without its line feed. Empty where there is a mistake. */
  text: string;
  /** Why it cannot be read, as a sentence; null: it can. */
  mistake: string | null;
}

/** Where reading a file begins: after this many bytes and lines of it. */
export interface FilePosition {
  byteOffset: number;
  lineNumber: number;
}

/** @default 1_048_576 // bytes of a line: 1 MiB */
export const lineBytesMax = 1_048_576;
/** @default 131_072 // bytes read at once: 128 KiB, a few hundred lines */
const chunkBytes = 131_072;

const lineFeed = 0x0a;

/**
 * Reads a file's lines, UTF-8 with or without a byte order mark, as many as a chunk holds at a time. A file whose name ends in
 * ".gz" is unpacked. Holds no more than a chunk and a line, however long the file, or a line, is.
 *
 * @throws what the file system, or zlib, does.
 */
export async function* readLines(file: string, after: FilePosition): AsyncGenerator<FileLine[]> {
  const isPacked = file.endsWith('.gz');
  // Packed bytes can be passed over only by unpacking them.
  const source = createReadStream(file, { start: isPacked ? 0 : after.byteOffset, highWaterMark: chunkBytes });
  const chunks: Readable = isPacked ? source.pipe(createGunzip({ chunkSize: chunkBytes })) : source;
  // A pipe does not carry errors on.
  if (isPacked) source.once('error', (error) => chunks.destroy(error));
  let passed = isPacked ? after.byteOffset : 0;
  const splitter = new LineSplitter(after);
  try {
    for await (const chunk of chunks) {
      const bytes: Buffer = chunk;
      const wanted = bytes.subarray(Math.min(passed, bytes.length));
      passed -= bytes.length - wanted.length;
      const lines = splitter.push(wanted);
      if (lines.length > 0) yield lines;
    }
  } finally {
    source.destroy();
  }
  const rest = splitter.end();
  if (rest) yield [rest];
}

/** Cuts bytes into lines. */
class LineSplitter {
  #number: number;
  #offset: number;
  /** Of the line that is not ended yet. */
  #parts: Buffer[] = [];
  #length = 0;

  constructor({ byteOffset, lineNumber }: FilePosition) {
    this.#offset = byteOffset;
    this.#number = lineNumber;
  }

  push(bytes: Buffer): FileLine[] {
    const lines: FileLine[] = [];
    let start = 0;
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
      lines.push(this.#finish(bytes.subarray(start, end), 1));
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
    return lines;
  }

  end(): FileLine | null {
    return this.#length === 0 ? null : this.#finish(Buffer.alloc(0), 0);
  }

  #keep(bytes: Buffer): void {
    this.#length += bytes.length;
    // Of a line that is too long nothing is kept but its length.
    if (this.#length > lineBytesMax) this.#parts = [];
    else if (bytes.length > 0) this.#parts.push(bytes);
  }

  #finish(last: Buffer, endBytes: number): FileLine {
    if (this.#parts.length > 0 || this.#length > 0) this.#keep(last);
    else this.#length = last.length;
    const bytes = this.#parts.length > 0 ? Buffer.concat(this.#parts) : last;
    const length = this.#length;
    this.#parts = [];
    this.#length = 0;
    this.#number += 1;
    this.#offset += length + endBytes;
    const mistake = findLineMistake(bytes, length);
    const text = mistake === null ? bytes.toString('utf8') : '';
    return {
      number: this.#number,
      endOffset: this.#offset,
      text: this.#number === 1 ? withoutMark(text) : text,
      mistake,
    };
  }
}

function findLineMistake(bytes: Buffer, length: number): string | null {
  if (length > lineBytesMax) return `A line has at most ${lineBytesMax} bytes.`;
  if (!isUtf8(bytes)) return 'This is not UTF-8.';
  return bytes.includes(0) ? 'A line must not hold the character NUL.' : null;
}

function withoutMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

/** SHA-256 of a file as it lies there, packed or not, in hex. @throws what the file system does. */
export async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1_048_576 }), hash);
  return hash.digest('hex');
}
