import { GraphQLError } from 'graphql';
import type { GraphQLParams, Plugin } from 'graphql-yoga';
import { z } from 'zod';
import type { Context } from '../graphql/context.ts';

/** As a request and its answer may be written; what else `accept` allows is refused before anything is done. */
const answerForms = ['application/json', 'application/graphql-response+json', 'text/event-stream', 'multipart/mixed'];

const jsonObject = z.record(z.string(), z.unknown(), 'must be a JSON object.').nullish();

/** GraphQL over HTTP, "Request Parameters". */
const parametersSchema = z.strictObject(
  {
    query: z.string('must be the text of a GraphQL document.'),
    operationName: z.string('must be a text.').nullish(),
    variables: jsonObject,
    extensions: jsonObject,
  },
  { error: ({ code }) => (code === 'unrecognized_keys' ? 'is not a parameter.' : 'The body must be a JSON object.') },
);

/**
 * Takes an operation from a POST with a JSON body, or a query from a GET, and from nothing else: forms, which a page may
 * post anywhere without asking, are refused, and so are subscriptions to a client that cannot read a stream.
 */
export function useRequestForm({ bodyBytesMax }: { bodyBytesMax: number }): Plugin<Context> {
  return {
    onRequestParse({ request, setRequestParser, endResponse, fetchAPI }) {
      if (!accepts(request, answerForms)) {
        // Written here: yoga writes no error in a form that was not asked for.
        const { message, extensions } = refuse(406, `Accept one of ${answerForms.join(', ')}.`);
        const body = { errors: [{ message, extensions: { code: extensions.code } }] };
        return endResponse(fetchAPI.Response.json(body, { status: 406 }));
      }
      if (request.method === 'GET') setRequestParser(parseAddress);
      else if (request.method !== 'POST') throw refuse(405, 'Use POST, or GET for a query.', { Allow: 'GET, POST' });
      else if (isJson(request)) setRequestParser((body) => parseBody(body, bodyBytesMax));
      else throw refuse(415, 'Send JSON, with the content-type application/json.');
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const { request } = args.contextValue;
      // Over WebSocket there is no request.
      if (!request || accepts(request, ['text/event-stream'])) return;
      const error = refuse(406, 'A subscription needs a WebSocket, or a request that accepts text/event-stream.');
      setResultAndStopExecution({ errors: [error] });
    },
  };
}

function refuse(status: number, message: string, headers: Record<string, string> = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status, headers } } });
}

function accepts(request: Request, forms: readonly string[]): boolean {
  const accepted = (request.headers.get('accept') || '*/*').toLowerCase().split(',');
  return accepted.some((entry) => {
    const [range = ''] = entry.split(';');
    const prefix = range.trim().replace(/\*(\/\*)?$/, '');
    return forms.some((form) => (range.includes('*') ? form.startsWith(prefix) : form === prefix));
  });
}

function isJson(request: Request): boolean {
  const [type = ''] = (request.headers.get('content-type') ?? '').split(';');
  return type.trim().toLowerCase() === 'application/json';
}

async function parseBody(request: Request, bytesMax: number): Promise<GraphQLParams> {
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  for await (const chunk of request.body ?? []) {
    byteCount += chunk.byteLength;
    // What is too long is read on and forgotten: who is cut off while writing does not read why. But not for ever.
    if (byteCount > bytesMax * 16) break;
    if (byteCount <= bytesMax) chunks.push(chunk);
  }
  if (byteCount > bytesMax) throw refuse(413, `The body must have at most ${bytesMax} bytes.`);
  return parseParameters(parseJson(Buffer.concat(chunks).toString('utf8'), 'The body'));
}

function parseAddress(request: Request): GraphQLParams {
  const given = Object.fromEntries(new URL(request.url).searchParams);
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
    throw refuse(400, `${place} must be valid JSON.`);
  }
}

function parseParameters(given: unknown): GraphQLParams {
  const { data, error } = parametersSchema.safeParse(given);
  if (data) {
    const { query, operationName, variables, extensions } = data;
    return {
      query,
      operationName: operationName ?? undefined,
      variables: variables ?? undefined,
      extensions: extensions ?? undefined,
    };
  }
  const [issue] = error.issues;
  const name = issue?.code === 'unrecognized_keys' ? issue.keys[0] : issue?.path[0];
  throw refuse(400, [name, issue?.message].filter((part) => part !== undefined).join(' '));
}
