import { z } from 'zod';
import type { ScalarType } from '../attributes/attribute-definition.ts';
import { type AttributeScalar, parseAttributeValue } from '../attributes/attribute-value.ts';
import { DomainError } from '../errors.ts';
import { type Sql, sql } from '../storage/database.ts';
import type { Argument } from './argument.ts';
import { ago, now, toDayText, toMomentText } from './clock.ts';
import { durationArgument, durationInWords, durationSchema } from './duration.ts';
import { isoAgo } from './moments.ts';
import { listOf, parseInput } from './predicate.ts';

const scalar = z.union([z.string(), z.boolean()]);

/** What a value is compared with, in normal form: scalars as attributes store them. All that is given holds. */
export const comparisonSchema = z.strictObject({
  eq: scalar.optional(),
  ne: scalar.optional(),
  gt: scalar.optional(),
  gte: scalar.optional(),
  lt: scalar.optional(),
  lte: scalar.optional(),
  in: z.array(scalar).optional(),
  contains: z.string().optional(),
  startsWith: z.string().optional(),
  exists: z.boolean().optional(),
  withinLast: durationSchema.optional(),
});
export type Comparison = z.infer<typeof comparisonSchema>;
export type Operator = keyof Comparison;

const value = 'FilterValue' as const;

/** How a value is compared: the fields of each input type that does so. */
export const comparisonFields: Readonly<Record<Operator, Argument>> = {
  eq: { type: value, description: 'The value is this one. Texts: written exactly so.' },
  ne: {
    type: value,
    description: 'There is a value, and it is another one. Use `not` with `eq` to mean those without a value too.',
  },
  gt: { type: value, description: 'Greater than this: numbers exactly, days and moments later, texts by code point.' },
  gte: { type: value, description: 'This or greater.' },
  lt: { type: value, description: 'Less than this.' },
  lte: { type: value, description: 'This or less.' },
  in: { type: value, isList: true, description: 'The value is one of these, 1 to 1,000.' },
  contains: { type: 'String', description: 'STRING only: this is part of the text. Case counts.' },
  startsWith: { type: 'String', description: 'STRING only: the text begins with this. Case counts.' },
  exists: { type: 'Boolean', description: 'Whether there is a value at all.' },
  withinLast: {
    type: durationArgument,
    description:
      "DATETIME: not longer ago than this, and not to come, by the database's clock. DATE, in `days` only: today or one of so many days before, in the user's time zone (UTC, where the user has none).",
  },
};

const ordered = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'exists'] as const;
const operatorsOf: Readonly<Record<ScalarType, readonly Operator[]>> = {
  STRING: [...ordered, 'contains', 'startsWith'],
  NUMBER: ordered,
  BOOLEAN: ['eq', 'ne', 'exists'],
  DATE: [...ordered, 'withinLast'],
  DATETIME: [...ordered, 'withinLast'],
};

/** A comparison as GraphQL lets it in, without what stands beside its operators. */
const comparisonInput = z.record(z.string(), z.unknown());

/**
 * A comparison with a value of one type, in normal form.
 *
 * @throws DomainError `ATTRIBUTE_INVALID` at an operator that the type has not, or at a value of another type;
 * `VALUE_INVALID` where there is no operator; `LIMIT_EXCEEDED` for a list that is too long.
 */
export function parseComparison(input: unknown, type: ScalarType, path: readonly string[]): Comparison {
  const given = Object.entries(parseInput(comparisonInput, input, path));
  if (given.length === 0) throw new DomainError('VALUE_INVALID', 'Say how the value is compared.', path);
  const known: readonly string[] = operatorsOf[type];
  const entries = given.map(([operator, operand]) => {
    const at = [...path, operator];
    if (!known.includes(operator)) {
      throw new DomainError('ATTRIBUTE_INVALID', `A ${type} is compared by ${known.join(', ')}.`, at);
    }
    return [operator, parseOperand(operator, operand, { type, path: at })] as const;
  });
  return comparisonSchema.parse(Object.fromEntries(entries));
}

function parseOperand(operator: string, input: unknown, { type, path }: { type: ScalarType; path: readonly string[] }) {
  const parseScalar = (scalarInput: unknown, at: readonly string[]) =>
    scalar.parse(parseAttributeValue(scalarInput, { type, fields: null }, at));
  switch (operator) {
    case 'exists':
      return input;
    case 'withinLast': {
      const duration = parseInput(durationSchema, input, path);
      if (type === 'DATE' && !('days' in duration)) {
        throw new DomainError('ATTRIBUTE_INVALID', 'Days are counted in `days`.', path);
      }
      return duration;
    }
    case 'in':
      return parseInput(listOf(z.unknown()), input, path).map((entry, index) =>
        parseScalar(entry, [...path, String(index)]),
      );
    default:
      return parseScalar(input, path);
  }
}

/** Where a value is found in SQL. */
export interface Operand {
  type: ScalarType;
  /** The value: a numeric of a NUMBER, else a text that sorts as it should; null where there is none. */
  value: Sql;
  isPresent: Sql;
  /** How a text begins, which is what an index of it knows: an entry is 2,700 bytes at most. Absent: there is no such index. */
  beginning?: Sql;
  equals(scalar: AttributeScalar): Sql;
}

/** As many as `attribute_beginning` takes (migration attribute_beginnings). */
const beginningCharacters = 256;

/** The beginning of a text by which its index finds it; texts sort as their beginnings do, or have the same. */
const beginningOf = (text: string) => [...text].slice(0, beginningCharacters).join('');

/** Whether a value is as a comparison says. Wants `u` in scope. Null counts as false. */
export function comparisonToSql(comparison: Comparison, operand: Operand): Sql {
  const { value: found, type } = operand;
  const typed = (wanted: AttributeScalar) =>
    type === 'NUMBER' ? sql`${String(wanted)}::numeric` : sql`${String(wanted)}`;
  const { eq, ne, gt, gte, lt, lte, in: oneOf, contains, startsWith, exists, withinLast } = comparison;
  const conditions = [
    eq === undefined ? null : operand.equals(eq),
    ne === undefined ? null : sql`${found} <> ${typed(ne)}`,
    gt === undefined ? null : sql`${found} > ${typed(gt)}`,
    gte === undefined ? null : sql`${found} >= ${typed(gte)}`,
    lt === undefined ? null : sql`${found} < ${typed(lt)}`,
    lte === undefined ? null : sql`${found} <= ${typed(lte)}`,
    oneOf === undefined ? null : isOneOf(operand, oneOf.map(String)),
    contains === undefined ? null : sql`position(${contains} in ${found}) > 0`,
    startsWith === undefined ? null : sql`${found} ^@ ${startsWith}`,
    exists === undefined ? null : exists ? operand.isPresent : sql`not ${operand.isPresent}`,
    withinLast === undefined ? null : isRecent(operand, withinLast),
    ...(operand.beginning === undefined ? [] : narrow(comparison, operand.beginning)),
  ].filter((condition) => condition !== null);
  return conditions.reduce((all, condition) => sql`${all} and ${condition}`);
}

/** What follows for the beginning of a text, so that an index finds it. Says nothing more. */
function narrow({ gt, gte, lt, lte, in: oneOf, startsWith }: Comparison, beginning: Sql): (Sql | null)[] {
  const [least, most] = [gt ?? gte, lt ?? lte].map((bound) =>
    bound === undefined ? null : beginningOf(String(bound)),
  );
  return [
    least === null ? null : sql`${beginning} >= ${least}`,
    most === null ? null : sql`${beginning} <= ${most}`,
    oneOf === undefined ? null : sql`${beginning} = any(${oneOf.map((wanted) => beginningOf(String(wanted)))}::text[])`,
    startsWith === undefined ? null : sql`${beginning} ^@ ${beginningOf(startsWith)}`,
  ];
}

function isOneOf({ type, value: found }: Operand, wanted: string[]): Sql {
  return type === 'NUMBER' ? sql`${found} = any(${wanted}::numeric[])` : sql`${found} = any(${wanted}::text[])`;
}

function isRecent({ type, value: found, beginning = found }: Operand, duration: z.infer<typeof durationSchema>): Sql {
  if (type === 'DATETIME') {
    const [least, most] = [toMomentText(ago(duration)), toMomentText(now)];
    return sql`${found} between ${least} and ${most} and ${beginning} between ${least} and ${most}`;
  }
  const days = 'days' in duration ? duration.days : 0;
  const [today, utcToday] = [sql`day_in_zone(${now}, u.time_zone)`, sql`(${now} at time zone 'UTC')::date`];
  // The second line narrows it down for an index: nowhere is it another day than yesterday's, today's or tomorrow's in UTC.
  return sql`
    ${found} between ${toDayText(sql`${today} - ${days}::int`)} and ${toDayText(today)}
    and ${beginning} between ${toDayText(sql`${utcToday} - ${days}::int - 1`)} and ${toDayText(sql`${utcToday} + 1`)}
  `;
}

/** What a relative date is counted from. */
export interface Clock {
  /** Now, and the day where the user is, as texts that sort. */
  now: string;
  today: string;
}

/** The same as {@link comparisonToSql} for a value that was read: `found` is undefined where there is none. */
export function decideComparison(comparison: Comparison, type: ScalarType, found: unknown, clock: Clock): boolean {
  const { exists, ...rest } = comparison;
  if (exists !== undefined && exists !== (found !== undefined)) return false;
  const known = toScalar(type, found);
  const operands = Object.entries(rest).filter(([, operand]) => operand !== undefined);
  if (known === null) return operands.length === 0;
  const order = (wanted: AttributeScalar) => compareScalars(type, known, wanted);
  const { eq, ne, gt, gte, lt, lte, in: oneOf, contains, startsWith, withinLast } = rest;
  return (
    (eq === undefined || order(eq) === 0) &&
    (ne === undefined || order(ne) !== 0) &&
    (gt === undefined || order(gt) > 0) &&
    (gte === undefined || order(gte) >= 0) &&
    (lt === undefined || order(lt) < 0) &&
    (lte === undefined || order(lte) <= 0) &&
    (oneOf === undefined || oneOf.some((wanted) => order(wanted) === 0)) &&
    (contains === undefined || String(known).includes(contains)) &&
    (startsWith === undefined || String(known).startsWith(startsWith)) &&
    (withinLast === undefined || isWithinLast(String(known), { type, duration: withinLast, clock }))
  );
}

function isWithinLast(
  found: string,
  { type, duration, clock }: { type: ScalarType; duration: z.infer<typeof durationSchema>; clock: Clock },
): boolean {
  if (type === 'DATETIME') return found >= isoAgo(clock.now, duration) && found <= clock.now;
  return found >= isoAgo(`${clock.today}T00:00:00Z`, duration).slice(0, 10) && found <= clock.today;
}

const decimalPattern = /^-?[0-9]+([.][0-9]+)?$/;

/** A stored value; null where it is none of the type, which only what a merge left can be. */
function toScalar(type: ScalarType, found: unknown): AttributeScalar | null {
  if (type === 'BOOLEAN') return typeof found === 'boolean' ? found : null;
  if (typeof found !== 'string') return null;
  return type === 'NUMBER' && !decimalPattern.test(found) ? null : found;
}

function compareScalars(type: ScalarType, a: AttributeScalar, b: AttributeScalar): number {
  return type === 'NUMBER' ? compareDecimals(String(a), String(b)) : compareCodePoints(String(a), String(b));
}

/** As `collate "C"` does: UTF-8 sorts by code point, JavaScript's UTF-16 does not. */
function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Decimals in the form of `attributes/decimal.ts`, exactly. */
function compareDecimals(a: string, b: string): number {
  const [isANegative, isBNegative] = [a.startsWith('-'), b.startsWith('-')];
  if (isANegative !== isBNegative) return isANegative ? -1 : 1;
  if (isANegative) return compareDecimals(b.slice(1), a.slice(1));
  const [wholeOfA, wholeOfB] = [a, b].map((text) => text.split('.')[0]?.length ?? 0);
  // Of two numbers with as many digits before the point, texts sort as they do: "." is less than any digit.
  return (wholeOfA ?? 0) - (wholeOfB ?? 0) || compareCodePoints(a, b);
}

/** In words, after what is compared: `is "a" or "b" and is greater than "c"`. */
export function comparisonInWords(comparison: Comparison): string {
  return Object.entries(comparison)
    .filter(([, operand]) => operand !== undefined)
    .map(([operator, operand]) => operatorWords[operator]?.(operand) ?? operator)
    .join(' and ');
}

const quote = (operand: unknown) => JSON.stringify(operand);
const operatorWords: Readonly<Record<string, (operand: unknown) => string>> = {
  eq: (operand) => `is ${quote(operand)}`,
  ne: (operand) => `is there and is not ${quote(operand)}`,
  gt: (operand) => `is greater than ${quote(operand)}`,
  gte: (operand) => `is ${quote(operand)} or greater`,
  lt: (operand) => `is less than ${quote(operand)}`,
  lte: (operand) => `is ${quote(operand)} or less`,
  in: (operand) => `is one of ${quote(operand)}`,
  contains: (operand) => `contains ${quote(operand)}`,
  startsWith: (operand) => `starts with ${quote(operand)}`,
  exists: (operand) => (operand === true ? 'has a value' : 'has no value'),
  withinLast: (operand) => `is within the last ${durationInWords(durationSchema.parse(operand))}`,
};
