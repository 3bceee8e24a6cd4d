import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DomainError } from '../../src/errors.ts';
import { parsePhone } from '../../src/identity/phone.ts';

const path = ['phones', '0'];

const normalize = (text: string): string | null => {
  try {
    return parsePhone(text, path);
  } catch (error) {
    if (error instanceof DomainError) return null;
    throw error;
  }
};

describe('U6: a phone number has one form', () => {
  test.each([
    ['38516419710', '+38516419710'],
    ['+38516419710', '+38516419710'],
    ['+31123456789', '+31123456789'],
    ['31123456789', '+31123456789'],
    ['14155552671', '+14155552671'],
    // The trunk "0" is for calls within the country; in Italy it is part of the number.
    ['+310651110001', '+31651110001'],
    ['+390612345678', '+390612345678'],
  ])('%s is kept as %s', (text, phone) => {
    expect(parsePhone(text, path)).toBe(phone);
  });

  test('with "+" and without it, and once it is in its form, it is the same', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 5, maxLength: 16 });
    fc.assert(
      fc.property(digits, (text) => {
        const phone = normalize(text);
        expect(normalize(`+${text}`)).toBe(phone);
        if (phone !== null) expect(normalize(phone)).toBe(phone);
      }),
    );
  });

  test.each([
    '',
    '+',
    '0038516419710',
    '051110001',
    '+9991234567',
    // Without its trunk "0" it would begin with another one.
    '43000000',
    '+3851',
    '+1415555267',
    '+3185164197101234567',
    '1'.repeat(51),
    '+385 1 6419 710',
    '+385-1-6419-710',
    '(385)16419710',
    '++38516419710',
    '38516419710;ext=1',
    'tel:+38516419710',
    '+38516419710\n',
    '+３８５１６４１９７１０',
    '+٣٨٥١٦٤١٩٧١٠',
  ])('%j is PHONE_INVALID', (text) => {
    expect(() => parsePhone(text, path)).toThrow(expect.objectContaining({ code: 'PHONE_INVALID', inputPath: path }));
  });
});
