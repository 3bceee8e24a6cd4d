import { describe, expect, test } from 'vitest';
import type { AttributeShape, ScalarType } from '../../src/attributes/attribute-definition.ts';
import { fromAttributeValue, parseAttributeValue } from '../../src/attributes/attribute-value.ts';

const path = ['customAttributes', 'x'];
const scalar = (type: ScalarType): AttributeShape => ({ type, fields: null });
const list: AttributeShape = {
  type: 'OBJECT_LIST',
  fields: [
    { name: 'sku', type: 'STRING' },
    { name: 'price', type: 'NUMBER' },
    { name: 'bought', type: 'DATETIME' },
    { name: '__proto__', type: 'BOOLEAN' },
  ],
};
const json = (text: string): unknown => JSON.parse(text);

describe('U15: a value is kept in one form', () => {
  test.each<[ScalarType, unknown, unknown]>([
    ['STRING', '', ''],
    ['STRING', 'e\u0301', '\u00e9'],
    // Cyrillic: looks the same, and is not.
    ['STRING', 'раураl', 'раураl'],
    ['STRING', '😀'.repeat(4096), '😀'.repeat(4096)],
    ['NUMBER', '+019.90', '19.9'],
    ['NUMBER', 19.9, '19.9'],
    ['NUMBER', -0, '0'],
    ['BOOLEAN', false, false],
    ['DATE', '2020-02-29', '2020-02-29'],
    ['DATETIME', '2026-11-22T15:04:05Z', '2026-11-22T15:04:05.000Z'],
    ['DATETIME', '2026-11-22t01:04:05.6789+02:00', '2026-11-21T23:04:05.678Z'],
  ])('%s %j', (type, value, stored) => {
    expect(parseAttributeValue(value, scalar(type), path)).toBe(stored);
  });

  test('a list keeps the fields that have a value', () => {
    const stored = parseAttributeValue(
      json(
        '[{"sku":"a","price":1.50},{"price":"2.50","bought":"2026-01-01T00:00:00+01:00","sku":null},{"__proto__":true},{}]',
      ),
      list,
      path,
    );
    expect(JSON.stringify(stored)).toBe(
      '[{"sku":"a","price":"1.5"},{"price":"2.5","bought":"2025-12-31T23:00:00.000Z"},{"__proto__":true},{}]',
    );
    expect(JSON.stringify(fromAttributeValue(stored, list))).toBe(
      '[{"sku":"a","price":1.5},{"price":2.5,"bought":"2025-12-31T23:00:00.000Z"},{"__proto__":true},{}]',
    );
    expect(parseAttributeValue([], list, path)).toEqual([]);
  });
});

test.each<[ScalarType, unknown]>([
  ['STRING', true],
  ['STRING', []],
  ['NUMBER', 'many'],
  ['NUMBER', '01'],
  ['BOOLEAN', 'true'],
  ['DATE', '19.9'],
  ['DATETIME', '2020-11-30'],
])('what is stored of an attribute that once had the name is not told as one of type %s: %j', (type, stored) => {
  expect(fromAttributeValue(stored, scalar(type))).toBeUndefined();
});

describe('U15: a value of another type is ATTRIBUTE_INVALID', () => {
  test.each<[ScalarType, unknown]>([
    ['STRING', 1],
    ['STRING', ['a']],
    ['STRING', 'x'.repeat(4097)],
    ['STRING', 'a\0b'],
    ['STRING', '\ud800'],
    ['NUMBER', true],
    ['NUMBER', 'many'],
    ['NUMBER', '1e999999999'],
    ['NUMBER', 2 ** 53],
    ['BOOLEAN', 'true'],
    ['BOOLEAN', 0],
    ['DATE', '2020-02-30'],
    ['DATE', '2021-02-29'],
    ['DATE', '0000-01-01'],
    ['DATE', '2020-11-30T00:00:00Z'],
    ['DATE', '20201130'],
    ['DATE', 20201130],
    ['DATETIME', '2026-11-22'],
    ['DATETIME', '2026-11-22T15:04:05'],
    ['DATETIME', '2026-11-22T24:00:00Z'],
    ['DATETIME', '2026-11-22T15:04:60Z'],
    ['DATETIME', '2026-02-30T15:04:05Z'],
    ['DATETIME', '2026-11-22T15:04:05+24:00'],
    ['DATETIME', '0001-01-01T00:00:00+01:00'],
    ['DATETIME', '9999-12-31T23:59:59-01:00'],
    ['DATETIME', 1_700_000_000],
  ])('%s %j', (type, value) => {
    expect(() => parseAttributeValue(value, scalar(type), path)).toThrow(
      expect.objectContaining({ code: 'ATTRIBUTE_INVALID', inputPath: path }),
    );
  });

  test.each<[string, unknown, string[]]>([
    ['a text', 'a', []],
    ['an object', { sku: 'a' }, []],
    ['129 objects', Array(129).fill({}), []],
    ['4,097 characters of JSON', [{ sku: 'x'.repeat(4097 - '[{"sku":""}]'.length) }], []],
    ['a text in it', [{}, 'a'], ['1']],
    ['a null in it', [null], ['0']],
    ['a list in it', [[]], ['0']],
    ['a field that is not declared', [{}, { sku: 'a', colour: 'red' }], ['1', 'colour']],
    ['null for one that is not declared', [{ colour: null }], ['0', 'colour']],
    ['a field of every object', json('[{"constructor":"a"}]'), ['0', 'constructor']],
    ['a number that is none', [{ sku: 'a' }, { price: 'free' }], ['1', 'price']],
    ['an object in a field', [{ sku: { a: 1 } }], ['0', 'sku']],
    ['a text where a boolean is declared', json('[{"sku":"a","price":1,"__proto__":"yes"}]'), ['0', '__proto__']],
  ])('OBJECT_LIST with %s', (_, value, within) => {
    expect(() => parseAttributeValue(value, list, path)).toThrow(
      expect.objectContaining({ code: 'ATTRIBUTE_INVALID', inputPath: [...path, ...within] }),
    );
  });

  test('4,096 characters of JSON and 128 objects are not too many', () => {
    const longest = [{ sku: 'x'.repeat(4096 - '[{"sku":""}]'.length) }];
    expect(parseAttributeValue(longest, list, path)).toEqual(longest);
    expect(parseAttributeValue(Array(128).fill({}), list, path)).toHaveLength(128);
  });
});
