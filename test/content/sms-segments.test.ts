import { expect, test } from 'vitest';
import { countSmsSegments } from '../../src/content/sms-segments.ts';

test.each([
  ['', 'GSM_7', 1],
  ['a'.repeat(160), 'GSM_7', 1],
  ['a'.repeat(161), 'GSM_7', 2],
  ['a'.repeat(306), 'GSM_7', 2],
  ['a'.repeat(307), 'GSM_7', 3],
  ['ÄÖÜß@£'.repeat(26), 'GSM_7', 1],
  ['€'.repeat(80), 'GSM_7', 1],
  ['€'.repeat(81), 'GSM_7', 2],
  // The 153rd septet is half of a character: it goes to the next message.
  [`${'a'.repeat(152)}€${'a'.repeat(152)}`, 'GSM_7', 3],
  ['č'.repeat(70), 'UCS_2', 1],
  ['č'.repeat(71), 'UCS_2', 2],
  ['č'.repeat(135), 'UCS_2', 3],
  ['😀'.repeat(35), 'UCS_2', 1],
  ['😀'.repeat(36), 'UCS_2', 2],
  ['😀'.repeat(67), 'UCS_2', 3],
])('%j goes out as %s in %i', (text, encoding, count) => {
  expect(countSmsSegments(text)).toEqual({ encoding, count });
});
