/** Digits of a number, before and after its point together. @default 1_000 */
const digitsMax = 1_000;
// The digits, a sign, a point and an exponent.
const charactersMax = digitsMax + 8;

// An exponent of more digits is never within the limit, and is never expanded.
const decimalPattern = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/;

/**
 * A decimal number in the one form in which it is stored and compared: no exponent, no "+", no zeros that say nothing, and
 * "0" for "-0". Exact: no digit is lost. Null for what is none, or has more than 1,000 digits.
 */
export function toDecimal(text: string): string | null {
  const match = text.length > charactersMax ? null : decimalPattern.exec(text);
  if (!match) return null;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const written = `${whole}${fraction}`;
  const first = written.search(/[1-9]/);
  if (first === -1) return '0';
  const digits = written.slice(first).replace(/0+$/, '');
  // How many of the digits stand before the point; negative: so many zeros stand behind it first.
  const point = whole.length - first + Number(exponent);
  if (Math.max(point, digits.length, digits.length - point) > digitsMax) return null;
  const before = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0';
  const after = point > 0 ? digits.slice(point) : `${'0'.repeat(-point)}${digits}`;
  return `${sign === '-' ? '-' : ''}${before}${after && `.${after}`}`;
}

/**
 * The decimal that a JSON number says, null for one that may be another one than was sent: JavaScript reads
 * 9007199254740993 as 9007199254740992, so what is beyond 2^53 - 1 has to come as a text.
 */
export function numberToDecimal(value: number): string | null {
  return isExact(value) ? toDecimal(String(value)) : null;
}

/** A stored decimal as GraphQL tells it: a JSON number that says exactly the same and comes back so, else the text. */
export function fromDecimal(decimal: string): number | string {
  const value = Number(decimal);
  return isExact(value) && String(value) === decimal ? value : decimal;
}

function isExact(value: number): boolean {
  return Number.isFinite(value) && (Number.isSafeInteger(value) || !Number.isInteger(value));
}
