import { connect, createServer, type Socket } from 'node:net';
import { listenOnLoopback } from './loopback.ts';

/** Passes bytes on to another port of this machine, until it is told not to: as a network does that has broken silently. */
export interface Relay {
  port: number;
  /** Passes nothing on any more over the connections that there are. */
  freeze(): void;
  /** Client connections that are open. */
  openCount(): number;
  close(): Promise<void>;
}

export async function startRelay(toPort: number): Promise<Relay> {
  const pairs = new Map<Socket, Socket>();
  const server = createServer((near) => {
    const far = connect(toPort, '127.0.0.1');
    pairs.set(near, far);
    near.pipe(far).pipe(near);
    near.on('close', () => {
      pairs.delete(near);
      far.destroy();
    });
    for (const socket of [near, far]) socket.on('error', () => near.destroy());
  });
  const port = await listenOnLoopback(server);
  return {
    port,
    freeze() {
      for (const [near, far] of pairs) {
        far.unpipe(near);
        near.unpipe(far);
        // What is read and dropped still shows that the other side hangs up.
        near.resume();
      }
    },
    openCount: () => pairs.size,
    close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      for (const near of pairs.keys()) near.destroy();
      return promise;
    },
  };
}
