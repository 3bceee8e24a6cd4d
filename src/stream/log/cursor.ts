import { DomainError } from '../../errors.ts';

/** A place in the delivery log: right behind the event at `position`. */
export interface Cursor {
  /** Which log: a UUID, new when a log is begun anew. */
  readonly epoch: string;
  /** Position of the last event that lies behind; 0 is the beginning. */
  readonly position: bigint;
  /** Random number of that event, which tells it from one that took its position before a restore; 0 if there is none. */
  readonly tag: number;
}

const bytesCount = 28;
const pattern = /^[A-Za-z0-9_-]{38}$/;

/** The cursor as clients see it: opaque, 38 characters of base64url (RFC 4648, section 5), the same across restarts. */
export function encodeCursor({ epoch, position, tag }: Cursor): string {
  if (epoch !== written.epoch) written = writeEpoch(epoch);
  rest.writeUInt8(written.lastByte, 0);
  rest.writeBigInt64BE(position, 1);
  rest.writeInt32BE(tag, 9);
  return written.start + rest.toString('base64url');
}

// Every event has a cursor, and all cursors of a log begin alike: 15 bytes of its epoch are 20 characters.
const rest = Buffer.alloc(bytesCount - 15);
let written = { epoch: '', start: '', lastByte: 0 };

function writeEpoch(epoch: string): typeof written {
  const bytes = Buffer.from(epoch.replaceAll('-', ''), 'hex');
  return { epoch, start: bytes.toString('base64url', 0, 15), lastByte: bytes.readUInt8(15) };
}

/** Reads what `encodeCursor` wrote. Throws `VALUE_INVALID` for anything else; whether the log still has it is asked later. */
export function parseCursor(text: string): Cursor {
  const bytes = Buffer.from(pattern.test(text) ? text : '', 'base64url');
  // The last character holds bits that decode to nothing: only one spelling of a cursor is taken.
  if (bytes.length !== bytesCount || bytes.toString('base64url') !== text) throw invalidCursor();
  const position = bytes.readBigInt64BE(16);
  if (position < 0n) throw invalidCursor();
  const hex = bytes.toString('hex', 0, 16);
  const epoch = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return { epoch, position, tag: bytes.readInt32BE(24) };
}

function invalidCursor() {
  return new DomainError('VALUE_INVALID', 'This is not a cursor that the stream gave.', ['after']);
}
