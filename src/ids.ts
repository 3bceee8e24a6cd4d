import { randomBytes } from 'node:crypto';

/** Random bytes for the next ids: taken many at a time, as asking for them is most of what an id costs. */
const pool = { bytes: Buffer.alloc(0), at: 0 };

function takeRandomBytes(count: number): Buffer {
  if (pool.at + count > pool.bytes.length) Object.assign(pool, { bytes: randomBytes(256 * count), at: 0 });
  pool.at += count;
  return pool.bytes.subarray(pool.at - count, pool.at);
}

/**
 * A new id: UUID version 7 (RFC 9562), so that ids made later sort later and index pages stay warm.
 * Two ids of one millisecond are in no order.
 */
export function newId(now = Date.now()): string {
  const bytes = takeRandomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether `text` is a UUID of any version, in its usual form with hyphens. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}
