import { describe, expect, test } from 'vitest';
import { parseUserAttributes, type UserAttributesInput } from '../../src/users/user-attributes.ts';

const path = ['userAttributes'];
const parse = (input: UserAttributesInput) => parseUserAttributes(input, path);
const daysFromNow = (days: number) => new Date(Date.now() + days * 86_400_000);

describe('U14: a standard attribute is kept in one form', () => {
  test.each<[UserAttributesInput, UserAttributesInput]>([
    [{ firstName: 'Zoe\u0308' }, { firstName: 'Zo\u00eb' }],
    // Cyrillic: looks the same, and is not; full width is not folded either.
    [{ firstName: 'Аnn' }, { firstName: 'Аnn' }],
    [{ lastName: 'Ａｎｎ' }, { lastName: 'Ａｎｎ' }],
    // Zero-width joiners are letters' own in Persian, and in emoji.
    [{ displayName: 'می\u200cخواهم 👩\u200d🚀' }, { displayName: 'می\u200cخواهم 👩\u200d🚀' }],
    [{ displayName: '😀'.repeat(255) }, { displayName: '😀'.repeat(255) }],
    [{ middleName: 'e\u0301'.repeat(50) }, { middleName: '\u00e9'.repeat(50) }],
    [{ preferredLanguage: 'PT-br' }, { preferredLanguage: 'pt-BR' }],
    [{ preferredLanguage: 'zh-hant-tw' }, { preferredLanguage: 'zh-Hant-TW' }],
    [{ timeZone: 'America/Argentina/Buenos_Aires' }, { timeZone: 'America/Argentina/Buenos_Aires' }],
    [{ timeZone: 'UTC' }, { timeZone: 'UTC' }],
    [{ country: 'nl' }, { country: 'NL' }],
    [{ tags: ['b', 'a', 'b'] }, { tags: ['a', 'b'] }],
    [{ tags: ['e\u0301', '\u00e9'] }, { tags: ['\u00e9'] }],
    [{ tags: null }, { tags: [] }],
    [
      { firstName: null, birthday: null, gender: null },
      { firstName: null, birthday: null, gender: null },
    ],
    [{ firstName: '' }, { firstName: '' }],
    [{}, {}],
  ])('%j', (input, stored) => {
    expect(parse(input)).toEqual(stored);
  });

  test('who is born today, where today begins first, is born', () => {
    const birthday = daysFromNow(0);
    expect(parse({ birthday })).toEqual({ birthday });
  });
});

describe('U14: a standard attribute that is none is ATTRIBUTE_INVALID', () => {
  test.each<[string, UserAttributesInput, string[]]>([
    ['256 characters', { displayName: 'x'.repeat(256) }, ['displayName']],
    ['256 characters', { firstName: '😀'.repeat(256) }, ['firstName']],
    ['51 characters', { middleName: 'x'.repeat(51) }, ['middleName']],
    ['256 characters', { lastName: 'x'.repeat(256) }, ['lastName']],
    ['256 characters', { region: 'x'.repeat(256) }, ['region']],
    ['a line break', { firstName: 'Ann\r\nBcc: eve@example.com' }, ['firstName']],
    ['a line separator', { displayName: 'Ann\u2028' }, ['displayName']],
    ['a NUL', { region: 'a\0' }, ['region']],
    ['half a surrogate pair', { lastName: '\ud83d' }, ['lastName']],
    ['tomorrow', { birthday: daysFromNow(2) }, ['birthday']],
    ['year 0', { birthday: new Date('0000-12-31T00:00:00Z') }, ['birthday']],
    ['an underscore', { preferredLanguage: 'en_US' }, ['preferredLanguage']],
    ['the Kelvin sign', { preferredLanguage: '\u212aen' }, ['preferredLanguage']],
    ['an offset', { timeZone: '+01:00' }, ['timeZone']],
    ['an abbreviation that means several zones', { timeZone: 'bst' }, ['timeZone']],
    ['an abbreviation that PostgreSQL does not know', { timeZone: 'AET' }, ['timeZone']],
    ['a zone that only ICU knows', { timeZone: 'SystemV/EST5' }, ['timeZone']],
    ['a place without a zone', { timeZone: 'Europe/Utrecht' }, ['timeZone']],
    ['a country that Intl knows', { country: 'EU' }, ['country']],
    ['three letters', { country: 'NLD' }, ['country']],
    ['a ligature', { country: '\ufb01' }, ['country']],
    ['a long s', { country: '\u017fe' }, ['country']],
    ['a script', { pictureUrl: 'javascript:alert(1)' }, ['pictureUrl']],
    ['a line break', { pictureUrl: 'https://example.com/\na.png' }, ['pictureUrl']],
    ['4,097 characters', { pictureUrl: `https://example.com/${'x'.repeat(4077)}` }, ['pictureUrl']],
    ['an empty tag', { tags: ['a', ''] }, ['tags', '1']],
    ['a tag of 257 characters', { tags: ['x'.repeat(257)] }, ['tags', '0']],
    ['a NUL', { tags: ['a\0'] }, ['tags', '0']],
  ])('%s: %j', (_, input, within) => {
    expect(() => parse(input)).toThrow(
      expect.objectContaining({ code: 'ATTRIBUTE_INVALID', inputPath: [...path, ...within] }),
    );
  });

  test('1,001 tags are LIMIT_EXCEEDED, and 1,000 are not', () => {
    const tags = Array.from({ length: 1_001 }, (_, index) => `tag ${index}`);
    expect(() => parse({ tags })).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }));
    expect(parse({ tags: tags.slice(1) }).tags).toHaveLength(1_000);
  });
});
