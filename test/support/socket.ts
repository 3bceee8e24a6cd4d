import { once } from 'node:events';
import { WebSocket } from 'ws';
import { z } from 'zod';

const messageSchema = z.looseObject({ type: z.string() });

/** A WebSocket of a client that keeps to no protocol but its own. What comes is queued, so that a test cannot miss it. */
export interface Socket {
  /** Text goes as it is, anything else as JSON. */
  send(message: unknown): void;
  /** Waits for the next message; fails when the socket was closed before. */
  next(): Promise<z.infer<typeof messageSchema>>;
  /** Waits for the server's close, and answers its code and reason. */
  closed: Promise<{ code: number; reason: string }>;
  close(): void;
  /** Reads nothing more from the connection, until it is asked for the next message. */
  hold(): void;
}

/**
 * Opens a WebSocket at a gateway, by default in the protocol that it speaks; `[]`: in none. Rejects with the status when it is
 * not let in.
 */
export async function openSocket(
  url: string,
  protocol: string | string[] = 'graphql-transport-ws',
  headers: Record<string, string> = {},
): Promise<Socket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, protocol, { headers });
  const messages: string[] = [];
  let hasNews = Promise.withResolvers<void>();
  socket.on('message', (data) => {
    messages.push(String(data));
    hasNews.resolve();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => {
      resolve({ code, reason: String(reason) });
      hasNews.resolve();
    });
  });
  await once(socket, 'open');
  return {
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async next() {
      for (;;) {
        const message = messages.shift();
        if (message !== undefined) return messageSchema.parse(JSON.parse(message));
        if (socket.isPaused) socket.resume();
        if (socket.readyState === WebSocket.CLOSED) throw new Error('The socket was closed.');
        hasNews = Promise.withResolvers<void>();
        await hasNews.promise;
      }
    },
    closed,
    close: () => socket.close(),
    hold: () => socket.pause(),
  };
}

/** Opens a WebSocket as a caller, ready for operations. */
export async function connectSocket(url: string, secret: string): Promise<Socket> {
  const socket = await openSocket(url);
  socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${secret}` } });
  const { type } = await socket.next();
  if (type !== 'connection_ack') throw new Error(`Not acknowledged: ${type}`);
  return socket;
}
