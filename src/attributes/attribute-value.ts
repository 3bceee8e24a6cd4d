import { DomainError } from '../errors.ts';
import { findTextMistake } from '../operations/text-mistake.ts';
import type { AttributeField, AttributeShape, ScalarType } from './attribute-definition.ts';
import { fromDecimal, numberToDecimal, toDecimal } from './decimal.ts';
import { isCommonEraDay, parseMoment } from './moment.ts';

/**
 * A scalar as it is stored: STRING as it is; NUMBER a canonical decimal, as text; BOOLEAN as it is; DATE "YYYY-MM-DD";
 * DATETIME UTC, ISO 8601, with milliseconds and "Z". Two that are the same are the same JSON.
 */
export type AttributeScalar = string | boolean;

/** A value as it is stored. An absent field, or an absent attribute, has none: there is no null. */
export type AttributeValue = AttributeScalar | Record<string, AttributeScalar>[];

// product.md, "Limits to enforce"
const valueCharactersMax = 4096;
const itemsMax = 128;

/**
 * A value that is not null, in the form in which it is stored. Pure.
 *
 * @throws DomainError `ATTRIBUTE_INVALID` at the value, or at what in it is not as it was declared.
 */
export function parseAttributeValue(value: unknown, shape: AttributeShape, path: readonly string[]): AttributeValue {
  return shape.type === 'OBJECT_LIST'
    ? parseObjectList(value, shape.fields, path)
    : parseScalar(value, shape.type, path);
}

const scalars: Record<ScalarType, { parse: (value: unknown) => AttributeScalar | null; expected: string }> = {
  STRING: {
    parse: (value) => (typeof value === 'string' ? toText(value) : null),
    expected: `a text of at most ${valueCharactersMax} characters`,
  },
  NUMBER: {
    parse: (value) => {
      if (typeof value === 'string') return toDecimal(value);
      return typeof value === 'number' ? numberToDecimal(value) : null;
    },
    expected: 'a number of at most 1,000 digits, as JSON or, beyond 2^53 always, as a text such as "19.90"',
  },
  BOOLEAN: { parse: (value) => (typeof value === 'boolean' ? value : null), expected: 'true or false' },
  DATE: {
    parse: (value) => (typeof value === 'string' && isCommonEraDay(value) ? value : null),
    expected: 'a day, such as "2020-11-30"',
  },
  DATETIME: {
    parse: (value) => (typeof value === 'string' ? (parseMoment(value)?.toISOString() ?? null) : null),
    expected: 'a date and time with an offset (RFC 3339), such as "2026-11-22T15:04:05Z"',
  },
};

function parseScalar(value: unknown, type: ScalarType, path: readonly string[]): AttributeScalar {
  const { parse, expected } = scalars[type];
  const parsed = parse(value);
  if (parsed === null) throw invalid(`This is not ${expected}.`, path);
  return parsed;
}

function toText(text: string): string | null {
  const value = text.normalize('NFC');
  return [...value].length <= valueCharactersMax && findTextMistake(value) === null ? value : null;
}

function parseObjectList(
  value: unknown,
  fields: readonly AttributeField[],
  path: readonly string[],
): Record<string, AttributeScalar>[] {
  if (!Array.isArray(value)) throw invalid('This is not a list of objects.', path);
  if (value.length > itemsMax) throw invalid(`A list has at most ${itemsMax} objects.`, path);
  const types = new Map(fields.map(({ name, type }) => [name, type]));
  const list = value.map((item: unknown, index) => parseObject(item, types, [...path, String(index)]));
  if ([...JSON.stringify(list)].length > valueCharactersMax) {
    throw invalid(`A list has at most ${valueCharactersMax} characters, written as JSON.`, path);
  }
  return list;
}

function parseObject(
  item: unknown,
  types: ReadonlyMap<string, ScalarType>,
  path: readonly string[],
): Record<string, AttributeScalar> {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw invalid('This is not an object.', path);
  const parsed = new Map<string, AttributeScalar>();
  const seen = new Set<string>();
  for (const [given, value] of Object.entries(item)) {
    const name = given.normalize('NFC');
    const type = types.get(name);
    if (type === undefined)
      throw invalid('The objects of this list are declared without this field.', [...path, given]);
    if (seen.has(name)) throw invalid('This field is there twice.', [...path, given]);
    seen.add(name);
    if (value !== null) parsed.set(name, parseScalar(value, type, [...path, given]));
  }
  return Object.fromEntries(parsed);
}

/**
 * A stored value as GraphQL tells it; undefined when it is none of that shape: what an undone merge brought back may be of
 * an attribute that once had the name.
 */
export function fromAttributeValue(stored: unknown, shape: AttributeShape): unknown {
  if (shape.type !== 'OBJECT_LIST') return fromScalar(stored, shape.type);
  if (!Array.isArray(stored)) return undefined;
  return stored.map((item: unknown) => {
    const fields = new Map(Object.entries(Object(item)));
    const told = shape.fields.map(({ name, type }) => [name, fromScalar(fields.get(name), type)] as const);
    return Object.fromEntries(told.filter(([, value]) => value !== undefined));
  });
}

function fromScalar(stored: unknown, type: ScalarType): unknown {
  const isInForm = typeof stored === 'string' || typeof stored === 'boolean' ? isFormOf(stored, type) : false;
  if (!isInForm) return undefined;
  return type === 'NUMBER' ? fromDecimal(String(stored)) : stored;
}

function isFormOf(stored: AttributeScalar, type: ScalarType): boolean {
  return type === 'STRING' ? typeof stored === 'string' : scalars[type].parse(stored) === stored;
}

function invalid(message: string, path: readonly string[]): DomainError {
  return new DomainError('ATTRIBUTE_INVALID', message, path);
}
