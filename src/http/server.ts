import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Door } from '../door/door.ts';
import type { Logger } from '../logger.ts';
import type { Observer } from '../observability/observer.ts';
import { createAddressPrefixOf } from './client-address.ts';
import { prepareDrain } from './drain.ts';
import { createGateway } from './gateway.ts';
import { createGraphqlEndpoint } from './graphql-endpoint.ts';
import { landingPage } from './landing-page.ts';
import { listen } from './listen.ts';
import { answerHealth, answerReady, type ReadinessProbe } from './probes.ts';
import type { HttpRoute } from './route.ts';
import { watchConnections } from './watch-connections.ts';
import { serveWebSockets } from './websocket.ts';

interface HttpServerOptions {
  door: Door;
  observer: Observer;
  /** No GraphiQL. */
  isProduction: boolean;
  /** Addresses and networks whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[];
  log: Logger;
  host: string;
  /** 0: any free one. */
  port: number;
  /** Answers `/ready`. */
  readiness: ReadinessProbe;
  /** What is answered besides. @default none */
  routes?: readonly HttpRoute[] | undefined;
  /** How long a connection may take nothing of what waits for it before it is cut. @default 30_000 // 30 seconds */
  stalledMs?: number | undefined;
}

/** The program's door. */
export interface HttpServer {
  /** Where it listens, such as `http://127.0.0.1:4000`. */
  url: string;
  /**
   * Takes no more connections, and sends everybody away so that they come back elsewhere with their cursors: WebSockets with
   * the close code 1001, streams over HTTP by the end of the answer without a word of completion. Answers under way finish, and
   * what arrives on a connection that was in use a moment ago is answered still.
   */
  stop(): Promise<void>;
}

/**
 * Listens for GraphQL over HTTP, SSE and WebSocket at `/graphql`, and for probes at `/health` and `/ready`.
 *
 * @throws StartupError when the address cannot be listened on.
 */
export async function startHttpServer({
  door,
  observer,
  isProduction,
  trustedProxies,
  log,
  host,
  port,
  readiness,
  routes = [],
  stalledMs,
}: HttpServerOptions): Promise<HttpServer> {
  const addressPrefixOf = createAddressPrefixOf(trustedProxies);
  const gateway = createGateway({ door, isProduction });
  const answerGraphql = createGraphqlEndpoint({ door, gateway, addressPrefixOf, log });
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      log.error({ err: error }, 'A request could not be answered.');
      if (response.headersSent) response.destroy();
      else sendError(response, 500, { message: 'Something went wrong on the server.', code: 'INTERNAL_SERVER_ERROR' });
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '/'] = (request.url ?? '/').split('?');
    const route = routes.find(({ prefix }) => path.startsWith(prefix));
    if (route) return route.answer(request, response, () => addressPrefixOf(request));
    switch (path) {
      case '/graphql':
        return answerGraphql(request, response);
      case '/health':
        return answerHealth(response);
      case '/ready':
        return answerReady(response, readiness);
      case '/':
        return void response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(landingPage);
      default:
        return sendError(response, 404, {
          message: 'There is nothing here. GraphQL is at /graphql.',
          code: 'BAD_USER_INPUT',
        });
    }
  }

  const drain = prepareDrain(server);
  const watch = watchConnections({ server, log, stalledMs });
  const url = await listen(server, { host, port, setting: 'PORT' });
  // Only now: ws would take a port that is taken for an error of its own, and print it.
  const webSockets = serveWebSockets({ server, watch, door, addressPrefixOf, observer, log });
  return {
    url,
    async stop() {
      await Promise.all([webSockets.close(), drain()]);
    },
  };
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}

/** An error in the form of GraphQL's. */
function sendError(
  response: ServerResponse,
  status: number,
  { message, code }: { message: string; code: string },
): void {
  sendJson(response, status, { errors: [{ message, extensions: { code } }] });
}
