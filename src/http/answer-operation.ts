import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionResult } from 'graphql';
import { z } from 'zod';
import type { Caller } from '../apps/caller.ts';
import type { Door } from '../door/door.ts';
import { formatError } from '../door/mask-error.ts';
import { isSubscribed } from '../door/subscribe.ts';
import type { AddressPrefixOf } from './client-address.ts';
import { once, streamResults } from './event-stream.ts';
import { readBody } from './read-body.ts';
import { type AnswerForm, acceptedForms, isJson, parseBody, parseSearch } from './request-form.ts';

/** Of everybody else's requests, and WebSocket messages. @default 1_048_576 // 1 MiB */
export const bodyBytesMax = 1024 * 1024;
/** Of a server key's, which may hold a thousand users. @default 16_777_216 // 16 MiB */
const serverBodyBytesMax = 16 * 1024 * 1024;

/** How many bytes a caller's request may have. */
export function bodyBytesMaxOf(caller: Caller | null): number {
  return caller?.kind === 'SERVER' ? serverBodyBytesMax : bodyBytesMax;
}

/**
 * Whether a request is answered here: a POST of JSON, or a GET of an operation, for an answer as JSON or as server-sent
 * events. GraphiQL, and what else a request may be or be refused for, is not.
 */
export function isOperation({ method, headers }: IncomingMessage): boolean {
  const isPage = headers.accept?.includes('text/html') ?? false;
  const isAsked = method === 'POST' ? isJson(headers['content-type']) : method === 'GET' && !isPage;
  return isAsked && acceptedForms(headers.accept).some((form) => form !== 'multipart/mixed');
}

interface AnswerOptions {
  door: Door;
  addressPrefixOf: AddressPrefixOf;
  caller: Caller | null;
}

/**
 * Answers a request for which `isOperation` holds. By Node's own means, without the Fetch API's objects: these cost several
 * times what everything else does that happens to a small operation.
 */
export async function answerOperation(
  request: IncomingMessage,
  response: ServerResponse,
  { door, addressPrefixOf, caller }: AnswerOptions,
): Promise<void> {
  const isPost = request.method === 'POST';
  const operation = isPost
    ? parseBody(await readBody(request, bodyBytesMaxOf(caller)))
    : parseSearch(new URL(request.url ?? '/', 'http://localhost').searchParams);
  const forms = acceptedForms(request.headers.accept);
  const canStream = forms.includes('text/event-stream');
  const isStreamAsked = forms[0] === 'text/event-stream';
  const outcome = await door.run(operation, {
    caller,
    addressPrefix: () => addressPrefixOf(request),
    transport: isStreamAsked ? 'sse' : 'http',
    traceparent: request.headers.traceparent?.toString() ?? null,
    canStream,
    canMutate: isPost,
  });
  if (isSubscribed(outcome)) return streamResults(response, outcome);
  const form = forms.find((each) => each !== 'multipart/mixed') ?? 'application/json';
  const isRefused = outcome.data === undefined && toStatus(outcome, 'application/json').status !== 200;
  if (form === 'text/event-stream' && !isRefused) return streamResults(response, once(outcome));
  sendResult(response, outcome, form === 'text/event-stream' ? 'application/json' : form);
}

/** What an error says to HTTP; with `spec` only where the answer's form is GraphQL's own, since else 200 is expected. */
const httpSchema = z.object({
  status: z.number(),
  spec: z.boolean().optional(),
  headers: z.record(z.string(), z.string()).optional(),
});

/** Writes a result with the status that GraphQL over HTTP has for it. */
export function sendResult(response: ServerResponse, result: ExecutionResult, form: AnswerForm): void {
  const { errors, ...rest } = result;
  const { status, headers } = errors ? toStatus(result, form) : { status: 200, headers: {} };
  const body = JSON.stringify(errors ? { errors: errors.map(formatError), ...rest } : rest);
  response
    .writeHead(status, {
      ...headers,
      // Caches must not hand it to other pages.
      vary: 'origin',
      'content-type': `${form}; charset=utf-8`,
      'content-length': Buffer.byteLength(body),
    })
    .end(body);
}

function toStatus({ data, errors }: ExecutionResult, form: AnswerForm) {
  for (const { extensions } of errors ?? []) {
    const { data: http } = httpSchema.safeParse(extensions.http);
    if (http && !(http.spec && form === 'application/json'))
      return { status: http.status, headers: http.headers ?? {} };
  }
  const isFailure = data === undefined && errors?.some(({ extensions }) => extensions.code === 'INTERNAL_SERVER_ERROR');
  return { status: isFailure ? 500 : 200, headers: {} };
}
