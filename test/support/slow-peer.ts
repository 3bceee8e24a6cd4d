import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { testKeys } from './app.ts';
import { collectServedSockets } from './served-sockets.ts';

/** As which an operation may be asked for. */
export const waysToAsk = ['an HTTP answer', 'SSE', 'WebSocket'] as const;
export type WayToAsk = (typeof waysToAsk)[number];

/** A client that reads only what a test makes it read: its connection, seen from both ends. */
export interface SlowPeer extends Disposable {
  /** The server's end. */
  readonly served: Socket;
  /** Sends a text over its WebSocket. */
  send(text: string): void;
  /** Waits until it has read `bytes` more; fails when it was cut before. */
  read(bytes: number): Promise<void>;
  /** Resolves when the server has cut it. */
  readonly cut: Promise<void>;
}

/** Connects to a gateway in this process, asks for an operation with the server key, and reads nothing of the answer. */
export async function openSlowPeer(url: string, way: WayToAsk, query: string): Promise<SlowPeer> {
  const { socket, served } = await connectBoth(url);
  // A reset is how being cut looks from here.
  socket.on('error', () => undefined);
  if (way === 'WebSocket') await beginWebSocket(socket, query);
  else socket.write(toPost(query, way === 'SSE' ? 'text/event-stream' : 'application/json'));
  return {
    served,
    send: (text) => void socket.write(toFrame(text)),
    async read(bytes) {
      for (let left = bytes; left > 0; ) {
        const chunk: Buffer | null = socket.read(Math.min(left, socket.readableLength));
        left -= chunk?.byteLength ?? 0;
        if (chunk) continue;
        if (socket.destroyed) throw new Error('The server has cut it.');
        await pause(1);
      }
    },
    cut: new Promise<void>((resolve) => served.once('close', () => resolve())),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** A connection and its other end, which is in this process too. */
async function connectBoth(url: string): Promise<{ socket: Socket; served: Socket }> {
  const { hostname, port } = new URL(url);
  using accepted = collectServedSockets();
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  for (;;) {
    const served = accepted.sockets.find(({ remotePort }) => remotePort === socket.localPort);
    if (served) return { socket, served };
    await pause(1);
  }
}

function toPost(query: string, accept: string): string {
  const body = JSON.stringify({ query });
  const headers = [
    'host: localhost',
    'content-type: application/json',
    `accept: ${accept}`,
    `authorization: Bearer ${testKeys.serverKey}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return `POST /graphql HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

async function beginWebSocket(socket: Socket, query: string): Promise<void> {
  const headers = [
    'host: localhost',
    'upgrade: websocket',
    'connection: upgrade',
    'sec-websocket-version: 13',
    `sec-websocket-key: ${randomBytes(16).toString('base64')}`,
    'sec-websocket-protocol: graphql-transport-ws',
  ];
  socket.write(`GET /graphql HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
  const init = { type: 'connection_init', payload: { authorization: `Bearer ${testKeys.serverKey}` } };
  // Each answer is awaited: the server takes no frame before it has switched, and no operation before its acknowledgement.
  await once(socket, 'readable');
  socket.read();
  socket.write(toFrame(JSON.stringify(init)));
  await once(socket, 'readable');
  socket.read();
  socket.write(toFrame(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } })));
}

/** A text frame of a client (RFC 6455, section 5.2), masked by zeros. */
function toFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(14);
  header[0] = 0x81;
  header[1] = 0x80 | 127;
  header.writeBigUInt64BE(BigInt(payload.byteLength), 2);
  return Buffer.concat([header, payload]);
}
