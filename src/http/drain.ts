import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How a server stops. Tests choose the times. */
export interface DrainOptions {
  /** How long answers under way may take, before their connections are cut. @default 5_000 // 5 seconds */
  drainMs?: number;
  /**
   * How long a connection is kept after its last answer. Who uses a connection steadily has a request on its way that nobody
   * here can see: it gets its answer, and by that is told to go (`connection: close`). @default 500 // milliseconds
   */
  idleMs?: number;
}

/** How often connections are looked at while they drain. @default 20 // milliseconds */
const lookMs = 20;

/** Turns of the event loop that may bring connections which wait to be accepted. @default 500 */
const acceptTurnsMax = 500;

interface Connection {
  answers: number;
  /** Since when there has been no answer under way. */
  idleSince: number;
  /** What had been read of it then: with more, a request is arriving. */
  idleBytes: number;
}

/**
 * Watches a server's answers, from its first on, for the day on which it stops. What comes back does that: it takes no more
 * connections, ends streams without a word of completion, so that clients come back elsewhere with their cursors, lets
 * other answers finish, answers what comes on connections that were in use a moment ago, and resolves when the last connection
 * is closed.
 */
export function prepareDrain(server: Server, options: DrainOptions = {}): () => Promise<void> {
  const { drainMs = 5_000, idleMs = 500 } = options;
  const connections = new Map<Socket, Connection>();
  const underWay = new Set<ServerResponse>();
  let isDraining = false;
  let acceptedCount = 0;

  function watch(socket: Socket): Connection {
    const connection = { answers: 0, idleSince: performance.now(), idleBytes: 0 };
    connections.set(socket, connection);
    socket.once('close', () => connections.delete(socket));
    return connection;
  }

  server.on('connection', (socket: Socket) => {
    acceptedCount += 1;
    watch(socket);
  });
  // Before whoever answers: it may write the head at once.
  server.prependListener('request', ({ socket }, response) => {
    const connection = connections.get(socket) ?? watch(socket);
    connection.answers += 1;
    underWay.add(response);
    if (isDraining) response.shouldKeepAlive = false;
    response.on('close', () => {
      underWay.delete(response);
      connection.answers -= 1;
      connection.idleSince = performance.now();
      connection.idleBytes = socket.bytesRead;
      // Its client comes back elsewhere.
      if (isDraining && isStream(response)) socket.destroySoon();
    });
  });
  // It is not ours any more.
  const forget = ({ socket }: IncomingMessage) => connections.delete(socket);
  server.on('upgrade', forget);

  function look() {
    const now = performance.now();
    // Also those that have begun meanwhile.
    for (const response of underWay) if (isStream(response)) endStream(response);
    for (const [socket, { answers, idleSince, idleBytes }] of connections) {
      if (answers === 0 && socket.bytesRead === idleBytes && now - idleSince >= idleMs) socket.destroySoon();
    }
  }

  return async () => {
    // With a listener for it, Node would take upgrades that nobody answers any more.
    server.off('upgrade', forget);
    await acceptAll(() => acceptedCount);
    const closed = closeListener(server);
    isDraining = true;
    for (const response of underWay) if (!response.headersSent) response.shouldKeepAlive = false;
    look();
    const looks = setInterval(look, lookMs);
    const deadline = setTimeout(() => server.closeAllConnections(), drainMs);
    await closed;
    clearInterval(looks);
    clearTimeout(deadline);
  };
}

/** The system resets connections that wait to be accepted when nobody listens any more: they are let in first. */
async function acceptAll(countAccepted: () => number): Promise<void> {
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  // Between two such turns the event loop has looked for connections.
  await turn();
  let known = -1;
  for (let turns = 0; known !== countAccepted() && turns < acceptTurnsMax; turns += 1) {
    known = countAccepted();
    await turn();
  }
}

/** Takes no more connections; resolves when there is none left. */
async function closeListener(server: Server): Promise<void> {
  // Node would close idle connections at once, and with them a request that is just arriving.
  server.closeIdleConnections = () => undefined;
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Whether it goes on until somebody ends it: a subscription's. The type must have been set by `setHeader`. */
function isStream(response: ServerResponse): boolean {
  return String(response.getHeader('content-type')).startsWith('text/event-stream');
}

/** Ends a stream's answer from outside. What its source still writes is lost, and told as an error. */
function endStream(response: ServerResponse): void {
  if (!response.writableEnded) response.on('error', () => undefined).end();
}
