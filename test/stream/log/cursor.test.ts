import { expect, test } from 'vitest';
import { encodeCursor, parseCursor } from '../../../src/stream/log/cursor.ts';

const cursor = { epoch: '6f7a1f0e-2f0b-4d38-9a51-0c6d6f0e4b11', position: 2n ** 62n + 5n, tag: 2_147_483_647 };

test('a cursor comes back as it was', () => {
  const text = encodeCursor(cursor);
  expect(parseCursor(text)).toEqual(cursor);
  expect(text).toMatch(/^[A-Za-z0-9_-]{38}$/);
});

test('a cursor that was given by any version of this program means the same in each', () => {
  const text = 'b3ofDi8LTTiaUQxtbw5LEUAAAAAAAAAFf____w';
  expect(encodeCursor(cursor)).toBe(text);
  expect(parseCursor(text)).toEqual(cursor);
});

test.each([
  0n,
  1n,
  2n ** 53n + 1n,
  (20_779n << 40n) + 1n,
  2n ** 63n - 1n,
])('position %s is kept to the last digit', (position) => {
  expect(parseCursor(encodeCursor({ ...cursor, position }))).toEqual({ ...cursor, position });
});

test.each([
  ['another alphabet', '!'.repeat(38)],
  ['too short', encodeCursor(cursor).slice(1)],
  ['too long', `${encodeCursor(cursor)}A`],
  [
    'a second spelling of the same bytes',
    encodeCursor(cursor).replace(/.$/, (last) => String.fromCharCode(last.charCodeAt(0) + 1)),
  ],
  ['a position below zero', Buffer.alloc(28, 0xff).toString('base64url')],
  ['a NUL character', `\0${encodeCursor(cursor).slice(1)}`],
])('%s is refused as a cursor', (_, text) => {
  expect(() => parseCursor(text)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID', inputPath: ['after'] }));
});
