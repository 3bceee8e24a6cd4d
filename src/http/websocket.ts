import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { type ConnectionInitMessage, handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Logger } from '../logger.ts';
import type { Database } from '../storage/database.ts';
import { authenticate } from './authenticate.ts';
import { PushedResponse } from './execute-subscriptions.ts';
import { type Gateway, messageBytesMax } from './gateway.ts';
import { formatError, maskError } from './mask-error.ts';
import { OperationSink } from './operation-sink.ts';
import type { ConnectionWatch } from './watch-connections.ts';

interface WebSocketOptions {
  server: Server;
  watch: ConnectionWatch;
  gateway: Gateway;
  db: Database;
  log: Logger;
}

/** How long a client may take until its `connection_init`. @default 3_000 // 3 seconds */
const initWaitMs = 3_000;

/** How long a client may take to answer a close, before its connection is cut. @default 5_000 // 5 seconds */
const closeMs = 5_000;

/**
 * GraphQL over WebSocket (graphql-transport-ws) at `/graphql`. A connection says once who calls
 * (`connection_init { authorization }`); that is looked up again for every operation, so that a revoked key begins nothing
 * more. Each operation takes the steps of the one pipeline.
 */
export function serveWebSockets({ server, watch, gateway, db, log }: WebSocketOptions): { close(): Promise<void> } {
  // A variable, since @types/ws does not know `closeTimeout` yet.
  const options = { server, path: '/graphql', maxPayload: messageBytesMax, handleProtocols, closeTimeout: closeMs };
  const sockets = new WebSocketServer(options);
  const protocol = makeServer<ConnectionInitMessage['payload'], { socket: WebSocket; connection: Socket }>({
    connectionInitWaitTimeout: initWaitMs,
    async onConnect({ connectionParams, extra }) {
      try {
        await authenticate(db, toAuthorization(connectionParams));
        return true;
      } catch (error) {
        // An outage is no reason for a client to give up. A later close, for `false`, changes nothing.
        const { code } = maskError(error, log).extensions;
        if (code !== 'UNAUTHENTICATED') extra.socket.close(1013, 'Try again later');
        return false; // 4403, Forbidden
      }
    },
    onSubscribe: async ({ connectionParams, extra: { socket, connection } }, operationId, payload) => {
      try {
        const caller = await authenticate(db, toAuthorization(connectionParams));
        const sink = new OperationSink(socket, connection, operationId);
        const { schema, execute, subscribe, contextFactory, parse, validate } = gateway.getEnveloped({
          caller,
          sink,
        });
        const document = parse(payload.query);
        const errors = validate(schema, document);
        if (errors.length > 0) return errors;
        const contextValue = await contextFactory();
        return {
          schema,
          document,
          operationName: payload.operationName,
          variableValues: payload.variables,
          rootValue: new PreparedOperation({
            execute: (args) => execute({ ...args, contextValue }),
            subscribe: (args) => subscribe({ ...args, contextValue }),
          }),
        };
      } catch (error) {
        return [maskError(error, log)];
      }
    },
    execute: ({ rootValue, ...args }) => takeSteps(rootValue).execute(args),
    async subscribe({ rootValue, ...args }) {
      const result = await takeSteps(rootValue).subscribe(args);
      return result instanceof PushedResponse ? result.response : result;
    },
    onNext: (_, __, ___, ____, { errors, ...rest }) => errors && { ...rest, errors: errors.map(formatError) },
    // Also what a stream has thrown, and what graphql-ws itself refuses.
    onError: (_, __, ___, errors) => errors.map((error) => formatError(maskError(error, log))),
  });
  sockets.on('connection', (socket, { socket: connection }) => {
    watch.addWebSocket(socket, connection);
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
            take(String(data)).catch((err: unknown) => {
              log.error({ err }, 'A WebSocket message could not be handled.');
              socket.close(4500, 'Internal server error');
            });
          }),
      },
      { socket, connection },
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

/** The pipeline's own execution, for the one operation that it was prepared for. */
type Steps = Pick<ReturnType<Gateway['getEnveloped']>, 'execute' | 'subscribe'>;

/**
 * Carries the steps from where an operation is prepared to where it is run. graphql-ws keeps it for as long as a
 * subscription lasts, so that it must not hold what only its beginning needs.
 */
class PreparedOperation {
  #steps: Steps | undefined;

  constructor(steps: Steps) {
    this.#steps = steps;
  }

  take(): Steps {
    const steps = this.#steps;
    if (!steps) throw new Error('An operation is run once.');
    this.#steps = undefined;
    return steps;
  }
}

function takeSteps(rootValue: unknown): Steps {
  if (rootValue instanceof PreparedOperation) return rootValue.take();
  throw new Error('An operation came without the steps of the pipeline.');
}
