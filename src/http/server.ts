import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { StartupError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Database } from '../storage/database.ts';
import { allowEveryOrigin } from './allow-every-origin.ts';
import { authenticate } from './authenticate.ts';
import { prepareDrain } from './drain.ts';
import type { Gateway } from './gateway.ts';
import { landingPage } from './landing-page.ts';
import { maskError } from './mask-error.ts';
import { watchConnections } from './watch-connections.ts';
import { serveWebSockets } from './websocket.ts';

interface HttpServerOptions {
  gateway: Gateway;
  db: Database;
  log: Logger;
  host: string;
  /** 0: any free one. */
  port: number;
  /** Answers `/ready`; rejects when the program cannot do its work. */
  checkReady(): Promise<void>;
  /** How long a connection may take nothing of what waits for it before it is cut. @default 30_000 // 30 seconds */
  stalledMs?: number | undefined;
}

/** The program's door. */
export interface HttpServer {
  /** Where it listens, such as `http://127.0.0.1:4000`. */
  url: string;
  /**
   * Takes no more connections, and sends everybody away so that they come back elsewhere with their cursors: WebSockets with
   * the close code 1001, streams over HTTP by the end of the answer without a word of completion. Answers under way finish.
   */
  stop(): Promise<void>;
}

/**
 * Connections that may wait to be accepted; the system may have a lower limit (Linux: net.core.somaxconn, 4,096). When a
 * gateway dies its subscribers come to the others at once, and Linux resets those who wait in vain. @default 4_096
 */
const backlogMax = 4_096;

/**
 * Listens for GraphQL over HTTP, SSE and WebSocket at `/graphql`, and for probes at `/health` and `/ready`.
 *
 * @throws StartupError when the address cannot be listened on.
 */
export async function startHttpServer({
  gateway,
  db,
  log,
  host,
  port,
  checkReady,
  stalledMs,
}: HttpServerOptions): Promise<HttpServer> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      log.error({ err: error }, 'A request could not be answered.');
      if (response.headersSent) response.destroy();
      else sendError(response, 500, { message: 'Something went wrong on the server.', code: 'INTERNAL_SERVER_ERROR' });
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Of these two yoga makes a URL, and shows its stack where that fails.
    const address = `http://${request.headers.host || 'localhost'}${request.url ?? '/'}`;
    if (!URL.canParse(address)) {
      return sendError(response, 400, { message: 'The address is no URL.', code: 'BAD_USER_INPUT' });
    }
    const [path] = (request.url ?? '/').split('?');
    switch (path) {
      case '/graphql':
        return answerGraphql(request, response);
      case '/health':
        return sendJson(response, 200, { status: 'ok' });
      case '/ready':
        return checkReady().then(
          () => sendJson(response, 200, { status: 'ready' }),
          (error: unknown) => {
            log.warn({ err: error }, 'Not ready.');
            sendJson(response, 503, { status: 'not ready' });
          },
        );
      case '/':
        return void response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(landingPage);
      default:
        return sendError(response, 404, {
          message: 'There is nothing here. GraphQL is at /graphql.',
          code: 'BAD_USER_INPUT',
        });
    }
  }

  async function answerGraphql(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (allowEveryOrigin(request, response)) return;
    try {
      const caller = await authenticate(db, request.headers.authorization ?? null);
      await gateway.handle(request, response, { caller });
    } catch (error) {
      if (response.headersSent) throw error;
      const { message, extensions } = maskError(error, log);
      const isUnauthenticated = extensions.code === 'UNAUTHENTICATED';
      sendError(response, isUnauthenticated ? 401 : 500, { message, code: String(extensions.code) });
    }
  }

  const drain = prepareDrain(server);
  const watch = watchConnections({ server, log, stalledMs });
  await listen(server, host, port);
  // Only now: ws would take a port that is taken for an error of its own, and print it.
  const webSockets = serveWebSockets({ server, watch, gateway, db, log });
  return {
    url: toUrl(server),
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

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: backlogMax }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why =
      code === 'EADDRINUSE'
        ? `Port ${port} on ${host} is taken by another program: stop that one, or set PORT to a free port.`
        : `Port ${port} on ${host} cannot be listened on (${String(code)}): check HOST and PORT.`;
    throw new StartupError(why, { cause: error });
  }
}

function toUrl(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
