import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A way to a server of this machine that can lose what is sent, in both directions, without a word to either side. */
export interface Network {
  port: number;
  /** From now on everything is lost: the connections there are stay open, and others can be opened. */
  partition(): void;
  /** Connections that are opened from now on carry again. Those that lost something never do. */
  heal(): void;
  /** Connections that are opened from now on lead to another port. */
  redirect(port: number): void;
  stop(): Promise<void>;
}

/** A network that carries everything, on a free port of 127.0.0.1, to `targetPort`. Stop it when done. */
export async function startNetwork(targetPort: number): Promise<Network> {
  let target = targetPort;
  let isPartitioned = false;
  const connections = new Set<{ isCut: boolean }>();
  const sockets = new Set<Socket>();

  function join(from: Socket, to: Socket, connection: { isCut: boolean }) {
    sockets.add(from);
    from.on('data', (bytes) => {
      if (!connection.isCut) to.write(bytes);
    });
    // What broke it shows at its end.
    from.on('error', () => from.destroy());
    from.on('close', () => {
      sockets.delete(from);
      if (!connection.isCut) to.destroy();
    });
  }

  const server = createServer((near) => {
    const connection = { isCut: isPartitioned };
    connections.add(connection);
    const far = connect(target, '127.0.0.1');
    join(near, far, connection);
    join(far, near, connection);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    partition() {
      isPartitioned = true;
      for (const connection of connections) connection.isCut = true;
    },
    heal() {
      isPartitioned = false;
    },
    redirect(port) {
      target = port;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
