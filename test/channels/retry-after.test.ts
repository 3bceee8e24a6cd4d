import { expect, test } from 'vitest';
import { parseRetryAfter, parseRetryDelay } from '../../src/channels/retry-after.ts';

const now = Date.parse('2026-03-01T12:00:00Z');

test.each([
  ['120', 120_000],
  [' 0 ', 0],
  ['Sun, 01 Mar 2026 12:02:00 GMT', 120_000],
  ['Sun, 01 Mar 2026 11:00:00 GMT', 0],
  ['99999999999', 3_600_000],
  ['Sun, 01 Mar 2099 12:00:00 GMT', 3_600_000],
  ['soon', undefined],
  ['', undefined],
  [null, undefined],
  [undefined, undefined],
])('%j asks to wait %j ms', (header, waitMs) => {
  expect(parseRetryAfter(header, now)).toBe(waitMs);
});

test.each([
  ['53s', 53_000],
  ['0.25s', 250],
  ['58.934310785s', 58_935],
  ['0s', 0],
  ['99999999s', 3_600_000],
  ['53', undefined],
  ['-1s', undefined],
  ['soon', undefined],
  ['', undefined],
  [undefined, undefined],
])('a RetryInfo of %j asks to wait %j ms', (delay, waitMs) => {
  expect(parseRetryDelay(delay)).toBe(waitMs);
});
