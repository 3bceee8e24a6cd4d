import type { Server, ServerResponse } from 'node:http';

/**
 * Watches a server's answers, from its first on, for the day on which it stops. What comes back does that: it takes no more
 * connections, ends streams without a word of completion, so that clients come back elsewhere with their cursors, lets
 * other answers finish, and resolves when the last connection is closed.
 *
 * @param drainMs how long answers under way may take then, before their connections are cut. @default 5_000 // 5 seconds
 */
export function prepareDrain(server: Server, drainMs = 5_000): () => Promise<void> {
  const underWay = new Set<ServerResponse>();
  let isDraining = false;
  server.on('request', (request, response) => {
    underWay.add(response);
    response.on('close', () => {
      underWay.delete(response);
      // Else a client that keeps its connection for later would keep the server too.
      if (isDraining) request.socket.destroySoon();
    });
  });
  return async () => {
    isDraining = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const deadline = setTimeout(() => server.closeAllConnections(), drainMs);
    for (const response of underWay) if (isStream(response)) endStream(response);
    await closed;
    clearTimeout(deadline);
  };
}

/** Whether it goes on until somebody ends it: a subscription's. The type must have been set by `setHeader`. */
function isStream(response: ServerResponse): boolean {
  return String(response.getHeader('content-type')).startsWith('text/event-stream');
}

/** Ends a stream's answer from outside. What its source still writes is lost, and told as an error. */
function endStream(response: ServerResponse): void {
  response.on('error', () => undefined).end();
}
