import { describe, expect, test } from 'vitest';
import { decideVariation, listLanguages } from '../../src/content/decide-variation.ts';

const vip = '00000000-0000-7000-8000-000000000001';
const to = (language: string | null, segment: string | null = null) => ({ language, segment, fields: {} });

describe('a language and what stands in for it', () => {
  test.each([
    ['zh-Hant-TW', ['zh-hant-tw', 'zh-hant', 'zh']],
    ['de', ['de']],
    ['en-x-pirate', ['en-x-pirate', 'en']],
    [null, []],
  ])('%s', (language, languages) => {
    expect(listLanguages(language)).toEqual(languages);
  });
});

describe('the first variation that fits wins (rule M4)', () => {
  test.each([
    ['the language exactly', [to('de'), to('de-AT')], 'de-AT', false, 1],
    ['else the language without its country', [to('en'), to('de')], 'de-AT', false, 1],
    ['else none', [to('en'), to('de-AT')], 'de', false, null],
    ['in any casing', [to('DE-at')], 'de-AT', false, 0],
    ['nobody knows the language', [to('de')], null, false, null],
    ['the segment', [to(null, vip), to('de')], 'de', true, 0],
    ['not the segment', [to(null, vip), to('de')], 'de', false, 1],
    ['the language before the segment, in that order', [to('de'), to(null, vip)], 'de', true, 0],
    ['both', [to('de', vip), to('de')], 'de', true, 0],
    ['only one of both', [to('de', vip), to('de')], 'de', false, 1],
    ['the closer language, although a farther one comes first', [to('de', vip), to('de-AT')], 'de-AT', true, 1],
    ['a closer language of others does not count', [to('de'), to('de-AT', vip)], 'de-AT', false, 0],
  ])('%s', (_, variations, language, isVip, place) => {
    expect(decideVariation(variations, { language, isMember: (id) => isVip && id === vip })).toBe(place);
  });
});
