import { randomBytes } from 'node:crypto';
import { z } from 'zod';

/** Random bytes for the next ids: taken many at a time, as asking for them is most of what an id costs. */
const pool = { bytes: Buffer.alloc(0), at: 0 };

function takeRandomBytes(count: number): Buffer {
  if (pool.at + count > pool.bytes.length) Object.assign(pool, { bytes: randomBytes(4_096), at: 0 });
  pool.at += count;
  return pool.bytes.subarray(pool.at - count, pool.at);
}

/** The newest id's millisecond, and its place among the ids of that millisecond. */
const newest = { at: 0, place: 0 };

/** @default 4_095 // RFC 9562, 6.2: the twelve bits after the time count within a millisecond */
const placeMax = 0xfff;

/** A clock that stands still or goes back is not followed, and a millisecond that is full is followed by the next. */
function takePlace(now: number): void {
  if (now > newest.at) Object.assign(newest, { at: now, place: takeRandomBytes(1).readUInt8(0) });
  else if (newest.place < placeMax) newest.place += 1;
  else Object.assign(newest, { at: newest.at + 1, place: 0 });
}

/**
 * A new id: UUID version 7 (RFC 9562), so that ids made later sort later and index pages stay warm. Those of one process sort
 * in the order in which they were made; of two processes, ids of one millisecond are in no order.
 */
export function newId(): string {
  takePlace(Date.now());
  const bytes = takeRandomBytes(16);
  bytes.writeUIntBE(newest.at, 0, 6);
  bytes.writeUInt16BE(0x7000 | newest.place, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether `text` is a UUID of any version, in its usual form with hyphens. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** An id that was stored: whatever {@link isUuid} let in, where zod's own `uuid` wants a version and a variant. */
export const idSchema = z.string().regex(uuidPattern);
