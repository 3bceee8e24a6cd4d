import { createClient as createWebSocketClient, type FormattedExecutionResult } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { TypedDocumentString } from '../generated/graphql.ts';
import { postJson } from './post-json.ts';

/** What came back over HTTP, as it came. */
export interface RawAnswer {
  status: number;
  body: {
    data?: unknown;
    errors?: { message: string; path?: unknown; extensions: { code: string } & Record<string, unknown> }[];
  };
}

/** A caller of a running gateway, over HTTP and WebSocket. */
export interface Client {
  /** Runs an operation and answers its data; any error outside the payload fails the test. */
  run<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    ...variables: Variables extends Record<string, never> ? [] : [Variables]
  ): Promise<Result>;
  /** Sends a document as text, for what has no types: mistakes. */
  send(query: string, variables?: Record<string, unknown>): Promise<RawAnswer>;
  /** Subscribes over WebSocket. */
  subscribe<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
  ): Subscription<Result>;
  /** The same gateway, as somebody else. */
  as(secret: string | null): Client;
}

/** An open subscription: what comes is queued, so that a test cannot miss it. */
export interface Subscription<Result> {
  /** Waits for the next item; fails when the subscription ended or failed before. */
  next(): Promise<Result>;
  take(count: number): Promise<Result[]>;
  /** Waits for the end, and answers what came until then. */
  rest(): Promise<Result[]>;
  /** Ends it, as a client does that goes away. */
  close(): Promise<void>;
}

/** @param secret key or token; null: nobody. */
export function createClient(url: string, secret: string | null): Client {
  const send = async (query: string, variables?: object): Promise<RawAnswer> => {
    const headers = secret === null ? {} : { authorization: `Bearer ${secret}` };
    const answer = await postJson(`${url}/graphql`, JSON.stringify({ query, variables }), headers);
    // What it cost is no two times the same: `request` tells it.
    const { extensions: _, ...body } = JSON.parse(answer.body);
    return { status: answer.status, body };
  };
  return {
    async run(document, ...[variables]) {
      const { body } = await send(document.toString(), variables ?? undefined);
      if (body.errors) throw new Error(`The operation failed: ${JSON.stringify(body.errors)}`);
      return JSON.parse(JSON.stringify(body.data));
    },
    send,
    subscribe: (document, variables) => subscribe(url, secret, { query: document.toString(), variables }),
    as: (other) => createClient(url, other),
  };
}

function subscribe<Result>(
  url: string,
  secret: string | null,
  operation: { query: string; variables: unknown },
): Subscription<Result> {
  const client = createWebSocketClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: secret === null ? {} : { authorization: `Bearer ${secret}` },
  });
  const items = client.iterate<Result>({
    query: operation.query,
    variables: JSON.parse(JSON.stringify(operation.variables)),
  });
  const next = async (): Promise<Result> => {
    const { value, done } = await items.next();
    if (done) throw new Error('The subscription has ended.');
    return toData(value);
  };
  return {
    next,
    async take(count) {
      const taken: Result[] = [];
      while (taken.length < count) taken.push(await next());
      return taken;
    },
    async rest() {
      const rest: Result[] = [];
      for await (const item of items) rest.push(toData(item));
      await client.dispose();
      return rest;
    },
    async close() {
      await items.return?.();
      await client.dispose();
    },
  };
}

function toData<Result>({ data, errors }: FormattedExecutionResult<Result, unknown>): Result {
  if (errors || !data) throw new Error(`The subscription failed: ${JSON.stringify(errors)}`);
  return data;
}
