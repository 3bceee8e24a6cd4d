import { GraphQLError, Kind } from 'graphql';
import { isCalendarDay, parseMoment } from '../attributes/moment.ts';
import { builder } from './builder.ts';

builder.scalarType('DateTime', {
  description: 'A moment, as RFC 3339 with an offset: `2026-11-22T15:04:05.678Z`. Kept to the millisecond.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (value) => value.toISOString(),
  parseValue: parseDateTime,
});

builder.scalarType('Date', {
  description: 'A day without a time or a zone, as RFC 3339 full-date: `1968-02-10`.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (value) => value.toISOString().slice(0, 10),
  parseValue: parseDate,
});

builder.scalarType('JSONObject', {
  description: 'A JSON object, whatever is in it.',
  parseValue(value) {
    if (isJsonObject(value)) return value;
    throw badInput('This is not a JSON object.');
  },
  parseLiteral(node) {
    if (node.kind === Kind.OBJECT) throw badInput('Give a JSON object in a variable, not in the document.');
    throw badInput('This is not a JSON object.');
  },
});

builder.scalarType('FilterValue', {
  description:
    'What the value of an attribute is compared with: a text, a number or a boolean, as the attribute is. A number is a JSON number or, beyond 2^53 always, decimal text such as "19.90"; a day is "2020-11-30"; a moment is RFC 3339 with an offset.',
  parseValue(value) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
    throw badInput('This is not a text, a number or a boolean.');
  },
  parseLiteral(node) {
    // As it is written: no digit of a number is lost.
    if (node.kind === Kind.STRING || node.kind === Kind.INT || node.kind === Kind.FLOAT) return node.value;
    if (node.kind === Kind.BOOLEAN) return node.value;
    throw badInput('This is not a text, a number or a boolean.');
  },
});

function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function badInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

function parseDateTime(value: unknown): Date {
  const moment = typeof value === 'string' ? parseMoment(value) : null;
  if (!moment) throw badInput('This is not an RFC 3339 date and time, such as "2026-11-22T15:04:05Z".');
  return moment;
}

function parseDate(value: unknown): Date {
  if (typeof value !== 'string' || !isCalendarDay(value)) throw badInput('This is not a day, such as "1968-02-10".');
  return new Date(`${value}T00:00:00Z`);
}
