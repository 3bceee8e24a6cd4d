import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { GraphQLError, parse } from 'graphql';
import { type ConnectionInitMessage, handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import type { Door, Outcome } from '../door/door.ts';
import { formatError, maskError } from '../door/mask-error.ts';
import { isSubscribed } from '../door/subscribe.ts';
import { schema } from '../graphql/schema.ts';
import type { Logger } from '../logger.ts';
import type { Observer } from '../observability/observer.ts';
import { bodyBytesMax } from './answer-operation.ts';
import type { AddressPrefixOf } from './client-address.ts';
import { OperationSink } from './operation-sink.ts';
import { isAllowedOrigin, isOwnOrigin } from './origin.ts';
import { parseParameters } from './request-form.ts';
import type { ConnectionWatch } from './watch-connections.ts';

interface WebSocketOptions {
  server: Server;
  watch: ConnectionWatch;
  door: Door;
  addressPrefixOf: AddressPrefixOf;
  observer: Observer;
  log: Logger;
}

/** How long a client may take until its `connection_init`. @default 3_000 // 3 seconds */
const initWaitMs = 3_000;

/** How long a client may take to answer a close, before its connection is cut. @default 5_000 // 5 seconds */
const closeMs = 5_000;

// A variable, since @types/ws does not know it yet.
const closeOptions = { closeTimeout: closeMs };

/** Operations of one connection at once. @default 100 */
const operationsMax = 100;

/** A connection, and what was known of it when it was made. */
interface Peer {
  socket: WebSocket;
  connection: Socket;
  request: IncomingMessage;
  addressPrefix: string;
  /** What is being begun, by its id: graphql-ws knows only that it is. */
  beginnings: Map<string, object>;
}

/**
 * GraphQL over WebSocket (graphql-transport-ws) at `/graphql`. A connection says once who calls
 * (`connection_init { authorization }`); that is looked up again for every operation, so that a revoked key begins nothing
 * more. Each operation goes through the door.
 */
export function serveWebSockets({ server, watch, door, addressPrefixOf, observer, log }: WebSocketOptions): {
  close(): Promise<void>;
} {
  const sockets = new WebSocketServer({
    server,
    path: '/graphql',
    maxPayload: bodyBytesMax,
    handleProtocols,
    verifyClient: ({ req }, answer) => {
      isAllowedOrigin(door.apps, req).then(
        (isAllowed) => answer(isAllowed, 403),
        (err: unknown) => {
          log.error({ err }, 'A WebSocket could not be opened.');
          answer(false, 503);
        },
      );
    },
    ...closeOptions,
  });
  const protocol = makeServer<ConnectionInitMessage['payload'], Peer>({
    connectionInitWaitTimeout: initWaitMs,
    async onConnect({ connectionParams, extra: { socket, request, addressPrefix } }) {
      try {
        const caller = await door.callers.authenticate(toAuthorization(connectionParams), () => addressPrefix);
        const { origin } = request.headers;
        return origin === undefined || isOwnOrigin(request) || (await door.apps.mayCallFrom(caller, origin));
      } catch (error) {
        // An outage is no reason for a client to give up. A later close, for `false`, changes nothing.
        const { code } = maskError(error, log).extensions;
        if (code !== 'UNAUTHENTICATED') socket.close(1013, 'Try again later');
        return false; // 4403, Forbidden
      }
    },
    async onSubscribe({ connectionParams, subscriptions, extra }, operationId, payload) {
      const beginning = {};
      extra.beginnings.set(operationId, beginning);
      try {
        // This one is among them.
        if (Object.keys(subscriptions).length > operationsMax) throw tooManyOperations();
        const addressPrefix = () => extra.addressPrefix;
        const caller = await door.callers.authenticate(toAuthorization(connectionParams), addressPrefix);
        const outcome = await door.run(parseParameters(payload), {
          caller,
          addressPrefix,
          transport: 'websocket',
          traceparent: null,
          canStream: true,
          canMutate: true,
          sink: new OperationSink(extra.socket, extra.connection, operationId),
        });
        // Completed by the client meanwhile, and another one has its id: nobody waits for this one any more.
        if (extra.beginnings.get(operationId) !== beginning) return await abandon(outcome);
        const errors = isSubscribed(outcome) || outcome.data !== undefined ? undefined : outcome.errors;
        return errors ?? { schema, document: placeholder, rootValue: new ReadyOutcome(outcome) };
      } catch (error) {
        return [maskError(error, log)];
      } finally {
        if (extra.beginnings.get(operationId) === beginning) extra.beginnings.delete(operationId);
      }
    },
    execute: ({ rootValue }) => takeOutcome(rootValue),
    onNext: (_, __, ___, ____, { errors, ...rest }) => errors && { ...rest, errors: errors.map(formatError) },
    // Also what a stream has thrown, and what graphql-ws itself refuses.
    onError: (_, __, ___, errors) => errors.map((error) => formatError(maskError(error, log))),
  });
  sockets.on('connection', (socket, request) => {
    const connection = request.socket;
    watch.addWebSocket(socket, connection);
    observer.socketOpened();
    socket.once('close', observer.socketClosed);
    // Frames that are too long or none at all: `ws` closes with the code for it.
    socket.on('error', (err) => log.debug({ err }, 'A WebSocket was closed for its frames.'));
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        // What a connection that has gone does not take is nobody's mistake: its close tells that it has gone.
        send: (data) => new Promise((resolve) => socket.send(data, () => resolve())),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (take) =>
          socket.on('message', (data) => {
            take(withQuery(String(data))).catch((err: unknown) => {
              log.error({ err }, 'A WebSocket message could not be handled.');
              socket.close(4500, 'Internal server error');
            });
          }),
      },
      { socket, connection, request, addressPrefix: addressPrefixOf(request), beginnings: new Map() },
    );
    socket.once('close', (code, reason) => {
      closed(code, String(reason)).catch((err: unknown) => log.error({ err }, 'An operation could not be ended.'));
    });
  });
  return {
    // Every client is told 1001, going away, and comes back with its cursors.
    close() {
      for (const socket of sockets.clients) socket.close(1001, 'Going away');
      return new Promise((resolve, reject) => sockets.close((error) => (error ? reject(error) : resolve())));
    },
  };
}

function toAuthorization(connectionParams: Record<string, unknown> | undefined): string | null {
  const authorization = connectionParams?.authorization;
  if (authorization === undefined || authorization === null) return null;
  return typeof authorization === 'string' ? authorization : '';
}

/**
 * graphql-ws takes no operation without a query, also where a registered document is named: an empty one stands for none.
 */
function withQuery(text: string): string {
  if (!text.includes('"documentId"') && !text.includes('"persistedQuery"')) return text;
  const { data: message } = namedOperation.safeParse(parseJson(text));
  return message ? JSON.stringify({ ...message, payload: { query: '', ...message.payload } }) : text;
}

const namedOperation = z.looseObject({ type: z.literal('subscribe'), payload: z.record(z.string(), z.unknown()) });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // graphql-ws tells the client.
  }
}

// graphql-ws wants a document; the one that was asked for has been run by then.
const placeholder = parse('{ __typename }');

/** Carries an outcome to where graphql-ws takes it, and then holds it no more: a subscription may last for days. */
class ReadyOutcome {
  #outcome: Outcome | undefined;

  constructor(outcome: Outcome) {
    this.#outcome = outcome;
  }

  take(): Outcome {
    const outcome = this.#outcome;
    if (!outcome) throw new Error('An operation is run once.');
    this.#outcome = undefined;
    return outcome;
  }
}

/** Ends what has been begun for nobody. Never resolves: whatever was said now would be taken for another operation's answer. */
async function abandon(outcome: Outcome): Promise<never> {
  if (isSubscribed(outcome)) await outcome.return();
  return new Promise(() => undefined);
}

function takeOutcome(rootValue: unknown): Outcome {
  if (rootValue instanceof ReadyOutcome) return rootValue.take();
  throw new Error('An operation came around the door.');
}

function tooManyOperations(): GraphQLError {
  return new GraphQLError(`At most ${operationsMax} operations of one connection at once.`, {
    extensions: { code: 'THROTTLED' },
  });
}
