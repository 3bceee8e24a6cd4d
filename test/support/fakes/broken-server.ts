import { createServer, type Socket } from 'node:net';
import { listenOnLoopback } from './loopback.ts';

/**
 * How a server fails on the wire: `silent` takes connections and never answers, `garbage` answers with bytes of no
 * protocol, `reset` resets each connection once something is there to read (or at once, for a protocol in which the server
 * speaks first), `refused` does not listen.
 */
export type Breakage = 'silent' | 'garbage' | 'reset' | 'refused';

export const breakages: readonly Breakage[] = ['silent', 'garbage', 'reset', 'refused'];

/** A server that is broken in one way. */
export interface BrokenServer {
  port: number;
  /** How many connections it has had. */
  connectionCount(): number;
  /** The first connection. */
  connected: Promise<void>;
  close(): Promise<void>;
}

export async function startBrokenServer(breakage: Breakage, { speaksFirst = false } = {}): Promise<BrokenServer> {
  const sockets = new Set<Socket>();
  const connected = Promise.withResolvers<void>();
  let connectionCount = 0;
  const server = createServer((socket) => {
    connectionCount += 1;
    connected.resolve();
    sockets.add(socket);
    // A client that gives up resets the connection: that is what these tests make it do.
    socket.on('error', () => sockets.delete(socket));
    socket.on('close', () => sockets.delete(socket));
    const misbehave = () => {
      if (breakage === 'garbage') socket.end('\u0001\u0002 this is no protocol\r\n\r\n');
      if (breakage === 'reset') socket.resetAndDestroy();
    };
    if (speaksFirst) misbehave();
    else socket.once('data', misbehave);
  });
  const port = await listenOnLoopback(server);
  const close = async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
    return promise;
  };
  if (breakage === 'refused') await close();
  return {
    port,
    connectionCount: () => connectionCount,
    connected: connected.promise,
    close: breakage === 'refused' ? async () => undefined : close,
  };
}
