import { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { OperationRequest } from '../door/choose-document.ts';

// What GraphQL over HTTP says of a request and its answer, for every way in which a request can come.

/** How an answer may be written; what else `accept` allows is refused before anything is done. */
export const answerForms = [
  'application/json',
  'application/graphql-response+json',
  'text/event-stream',
  'multipart/mixed',
] as const;

export type AnswerForm = (typeof answerForms)[number];

/** The forms that an `accept` header allows, the first one named first; none at all: all of them. */
export function acceptedForms(accept: string | null | undefined): readonly AnswerForm[] {
  const known = knownForms.get(accept || '*/*');
  if (known) return known;
  const forms = parseAccept(accept || '*/*');
  knownForms.set(accept || '*/*', forms);
  return forms;
}

/** There are as many as there are kinds of clients. */
const knownForms = new LRUCache<string, readonly AnswerForm[]>({ max: 100 });

function parseAccept(accept: string): AnswerForm[] {
  const ranges = accept.toLowerCase().split(',');
  const accepted = ranges.flatMap((entry) => {
    const [range = ''] = entry.split(';');
    const prefix = range.trim().replace(/\*(\/\*)?$/, '');
    return answerForms.filter((form) => (range.includes('*') ? form.startsWith(prefix) : form === prefix));
  });
  return [...new Set(accepted)];
}

/** Whether a body is JSON, as its content type says. Forms, which a page may post anywhere without asking, are not. */
export function isJson(contentType: string | null | undefined): boolean {
  const [type = ''] = (contentType ?? '').split(';');
  return type.trim().toLowerCase() === 'application/json';
}

// Only looked at as a whole: there may be very much in it.
const jsonObject = z.custom<Record<string, unknown>>(isObject, 'must be a JSON object.').nullish();

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** GraphQL over HTTP, "Request Parameters", and the name of a registered document. */
const parametersSchema = z.strictObject(
  {
    query: z.string('must be the text of a GraphQL document.').nullish(),
    documentId: z.string('must be the name of a registered document.').nullish(),
    operationName: z.string('must be a text.').nullish(),
    variables: jsonObject,
    extensions: jsonObject,
  },
  { error: ({ code }) => (code === 'unrecognized_keys' ? 'is not a parameter.' : 'The body must be a JSON object.') },
);

/** @throws GraphQLError `BAD_USER_INPUT` (HTTP 400) that names the parameter. */
export function parseParameters(given: unknown): OperationRequest {
  const { data, error } = parametersSchema.safeParse(given);
  if (data) return data;
  const [issue] = error.issues;
  const name = issue?.code === 'unrecognized_keys' ? issue.keys[0] : issue?.path[0];
  throw refuseRequest(400, [name, issue?.message].filter((part) => part !== undefined).join(' '));
}

/** An operation from the body of a POST. @throws GraphQLError `BAD_USER_INPUT` (HTTP 400). */
export function parseBody(text: string): OperationRequest {
  return parseParameters(parseJson(text, 'The body'));
}

/** An operation from the parameters of an address. @throws GraphQLError `BAD_USER_INPUT` (HTTP 400). */
export function parseSearch(search: URLSearchParams): OperationRequest {
  const given = Object.fromEntries(search);
  for (const name of ['variables', 'extensions']) {
    const text = given[name];
    if (text !== undefined) Object.assign(given, { [name]: parseJson(text, name) });
  }
  return parseParameters(given);
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refuseRequest(400, `${place} must be valid JSON.`);
  }
}

/** What is wrong with a request as such. */
export function refuseRequest(status: number, message: string, headers: Record<string, string> = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status, headers } } });
}
