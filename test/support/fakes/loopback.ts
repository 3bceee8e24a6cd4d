import type { Server as HttpServer, IncomingMessage } from 'node:http';
import type { Server } from 'node:net';

/** Listens on a free port of 127.0.0.1 and tells which. */
export async function listenOnLoopback(server: Server): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (typeof address === 'object' && address) resolve(address.port);
    else reject(new Error('A listening TCP server has no port.'));
  });
  return promise;
}

/** Stops an HTTP server and every connection to it. */
export async function closeHttp(server: HttpServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  return promise;
}

/** The whole body of a request. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What a fake answers once, instead of playing its part. */
export interface ScriptedReply {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}
