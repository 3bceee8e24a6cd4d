import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromDecimal, numberToDecimal, toDecimal } from '../../src/attributes/decimal.ts';

/** A decimal as two integers: `units` times ten to the power of `-scale`. */
interface Exact {
  units: bigint;
  scale: bigint;
}

/** The number that a text without an exponent says. */
function read(text: string): Exact {
  const [whole = '', fraction = ''] = text.replace('+', '').split('.');
  return { units: BigInt(`${whole}${fraction}`), scale: BigInt(fraction.length) };
}

const areEqual = (a: Exact, b: Exact) => a.units * 10n ** b.scale === b.units * 10n ** a.scale;

const digits = (constraints: { minLength: number; maxLength: number }) =>
  fc.string({ unit: fc.constantFrom(...'0123456789'), ...constraints });
const plain = fc
  .tuple(
    fc.constantFrom('', '+', '-'),
    digits({ minLength: 1, maxLength: 40 }),
    fc.option(digits({ minLength: 1, maxLength: 40 })),
  )
  .map(([sign, whole, fraction]) => `${sign}${whole}${fraction === null ? '' : `.${fraction}`}`);

const formOf = (text: string): string => {
  const form = toDecimal(text);
  if (form === null) throw new Error(`${text} is a number.`);
  return form;
};

describe('U15: a number is an exact decimal', () => {
  test('no digit is lost, however long the number', () => {
    fc.assert(fc.property(plain, (text) => areEqual(read(formOf(text)), read(text))));
  });

  test('a number has one form, however it is written', () => {
    fc.assert(
      fc.property(plain, fc.nat({ max: 60 }), fc.nat({ max: 9 }), (text, shift, zeros) => {
        const [, sign, rest = ''] = /^([+-]?)(.*)$/.exec(text) ?? [];
        const padded = `${sign}${'0'.repeat(zeros)}${rest}${rest.includes('.') ? '0'.repeat(zeros) : ''}`;
        const moved = `${formOf(`${text}e${shift}`)}e-${shift}`;
        expect([formOf(padded), formOf(moved), formOf(formOf(text))]).toEqual(Array(3).fill(formOf(text)));
      }),
    );
  });

  test('the form has no sign, zero or point that says nothing', () => {
    fc.assert(fc.property(plain, (text) => /^(0|-?([1-9]\d*|0(?=\.))(\.\d*[1-9])?)$/.test(formOf(text))));
  });

  test('a JSON number is the decimal that it says', () => {
    const isRounded = (value: number) => Number.isInteger(value) && !Number.isSafeInteger(value);
    fc.assert(
      fc.property(fc.double({ noDefaultInfinity: true, noNaN: true }), (value) => {
        expect(numberToDecimal(value)).toBe(isRounded(value) ? null : formOf(String(value)));
        if (!isRounded(value)) expect(Number(numberToDecimal(value))).toBe(value === 0 ? 0 : value);
      }),
    );
  });

  test('what is told comes back as the same', () => {
    const comesBack = (decimal: string) => {
      const told = fromDecimal(decimal);
      return (typeof told === 'number' ? numberToDecimal(told) : toDecimal(told)) === decimal;
    };
    fc.assert(fc.property(plain, (text) => comesBack(formOf(text))));
    fc.assert(fc.property(fc.maxSafeInteger(), (value) => comesBack(String(value))));
  });

  test.each([
    ['0', '0'],
    ['-0', '0'],
    ['-0.00e7', '0'],
    ['+007.5000', '7.5'],
    ['0.1', '0.1'],
    ['1e3', '1000'],
    ['1.25E-3', '0.00125'],
    ['-12.340e1', '-123.4'],
    ['9007199254740993', '9007199254740993'],
    ['1e999', `1${'0'.repeat(999)}`],
    ['1e-1000', `0.${'0'.repeat(999)}1`],
  ])('%s is kept as %s', (text, form) => {
    expect(toDecimal(text)).toBe(form);
  });

  test.each([
    '1e999999999',
    '1e-999999999',
    '1e1000',
    '1e-1001',
    '9'.repeat(1_001),
    '9'.repeat(1_000_000),
    `1${'0'.repeat(100_000)}e-100000`,
    '',
    ' 1',
    '1 ',
    '.5',
    '5.',
    '1e',
    '--1',
    '1,5',
    '1_000',
    '0x10',
    'NaN',
    'Infinity',
    '１',
    '1\n',
  ])('%j is refused at once', (text) => {
    expect(toDecimal(text)).toBeNull();
  });

  test.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    -(2 ** 53),
    1e21,
  ])('%d may have been another number before it was JSON, and is refused', (value) => {
    expect(numberToDecimal(value)).toBeNull();
  });

  test.each([
    ['19.9', 19.9],
    ['-3', -3],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', '9007199254740993'],
    ['0.1000000000000000055', '0.1000000000000000055'],
  ])('%s is told as %j', (decimal, told) => {
    expect(fromDecimal(decimal)).toBe(told);
  });
});
