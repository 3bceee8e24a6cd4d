import { documentIdOf } from '../../src/operations/prepare-operation.ts';
import { graphql } from '../generated/gql.ts';
import type { PartnerOperationInput, RegisterPartnerOperationsInput } from '../generated/graphql.ts';
import type { Client } from './client.ts';
import { makeApiKey } from './keys.ts';
import { parseAnswer } from './request.ts';
import { connectSocket } from './socket.ts';

const Register = graphql(`
  mutation RegisterPartnerOperations($input: RegisterPartnerOperationsInput!) {
    registerPartnerOperations(input: $input) {
      __typename
      ... on Error { code message path }
      ... on RegisterPartnerOperationsPayload {
        removedCount
        operations {
          id documentId partner name document pinnedVariables isMutationGranted cost createdAt
          scope { app { id } segment { id } }
        }
      }
    }
  }
`);

export const registerPartnerOperations = async (client: Client, input: RegisterPartnerOperationsInput) =>
  (await client.run(Register, { input })).registerPartnerOperations;

/** Registers one operation and answers its id; fails when it is refused. */
export async function makePartnerOperation(
  client: Client,
  partner: string,
  operation: PartnerOperationInput & { grantMutations?: boolean },
): Promise<string> {
  const { grantMutations = false, ...rest } = operation;
  const made = await registerPartnerOperations(client, { partner, grantMutations, operations: [rest] });
  if (made?.__typename !== 'RegisterPartnerOperationsPayload') throw new Error(`Refused: ${JSON.stringify(made)}`);
  return documentIdOf(rest.document);
}

/** A new key of a partner. */
export const makePartnerKey = async (client: Client, partner: string): Promise<string> =>
  (await makeApiKey(client, { kind: 'PARTNER', name: 'a key', partner })).secret;

/** What is asked, in the fields of GraphQL over HTTP. */
export type Asked = Record<string, unknown>;

type Send = (to: { url: string; secret: string }, asked: Asked) => Promise<ReturnType<typeof parseAnswer>>;

const headersOf = (secret: string, accept = 'application/json') => ({
  authorization: `Bearer ${secret}`,
  'content-type': 'application/json',
  accept,
});

const post = (
  { url, secret }: Parameters<Send>[0],
  asked: Asked,
  { accept, signal }: { accept?: string; signal?: AbortSignal } = {},
): Promise<Response> =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: headersOf(secret, accept),
    body: JSON.stringify(asked),
    signal: signal ?? null,
  });

/** The first event of an answer that may have no end; of one that is no stream, all of it. */
async function firstEvent(to: Parameters<Send>[0], asked: Asked): Promise<string> {
  const ending = new AbortController();
  const response = await post(to, asked, { accept: 'text/event-stream', signal: ending.signal });
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response.text();
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const [, data] = /^data: (.+)\n/m.exec(text) ?? [];
    if (data !== undefined) {
      ending.abort();
      return data;
    }
  }
  throw new Error(`The stream has ended: ${text}`);
}

const hashOf = ({ documentId, ...rest }: Asked): Asked => ({
  ...rest,
  ...(typeof documentId === 'string' && {
    extensions: { persistedQuery: { version: 1, sha256Hash: documentId.replace('sha256:', '') } },
  }),
});

/** Every way in which an operation comes in. A document's id is told as that way tells it. */
export const ways: Record<'POST' | 'GET' | 'the hash of Apollo' | 'SSE' | 'WebSocket', Send> = {
  POST: async (to, asked) => parseAnswer(await (await post(to, asked)).text()),
  GET: async ({ url, secret }, asked) => {
    const search = new URLSearchParams(
      Object.entries(asked).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
    );
    const { 'content-type': _, ...headers } = headersOf(secret);
    return parseAnswer(await (await fetch(`${url}/graphql?${search}`, { headers })).text());
  },
  'the hash of Apollo': async (to, asked) => parseAnswer(await (await post(to, hashOf(asked))).text()),
  SSE: async (to, asked) => parseAnswer(await firstEvent(to, asked)),
  WebSocket: async ({ url, secret }, asked) => {
    const socket = await connectSocket(url, secret);
    socket.send({ id: '1', type: 'subscribe', payload: asked });
    const { type, payload } = await socket.next();
    socket.close();
    return parseAnswer(JSON.stringify(type === 'error' ? { errors: payload } : payload));
  },
};

/** What is refused, as its code; null: nothing is. */
export const codeOf = ({ errors }: Awaited<ReturnType<Send>>): string | null => errors?.[0]?.extensions.code ?? null;
