import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A PostgreSQL server as seen through a counter of its statements. */
export interface StatementCounter extends AsyncDisposable {
  /** The same database, through the counter. */
  url: string;
  /** SQL of what was executed since the last call of this, in order. */
  take(): string[];
}

/**
 * Stands between a program and PostgreSQL and reads what passes by, so that what is counted is what the server executes,
 * whichever library asked for it. Frontend messages as PostgreSQL's protocol 3.0 has them ("Message Formats"): one byte of type and four
 * of length, which count themselves; only the first message of a connection has no type. A statement is executed by
 * `Q` (simple query) or by `E` (Execute), of the statement that `P` (Parse) named and `B` (Bind) chose.
 */
export async function startStatementCounter(databaseUrl: string): Promise<StatementCounter> {
  const target = new URL(databaseUrl);
  const executed: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 5432), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
      // A connection that breaks is told to its user by what follows from it; 'close' comes too.
      socket.on('error', () => socket.destroy());
    }
    const read = createReader((statement) => executed.push(statement));
    client.on('data', read);
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The counter listens on no port.');
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(address.port);
  return {
    url: url.href,
    take: () => executed.splice(0),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Reads one connection's messages as they come in, in whatever pieces. */
function createReader(onExecuted: (statement: string) => void): (piece: Buffer) => void {
  const prepared = new Map<string, string>();
  let unread = Buffer.alloc(0);
  let hasStarted = false;
  let bound = '';
  const readMessage = (type: string, body: Buffer) => {
    const [first = '', second = ''] = body.toString('utf8').split('\0', 2);
    if (type === 'Q') onExecuted(first);
    if (type === 'P') prepared.set(first, second);
    if (type === 'B') bound = prepared.get(second) ?? '';
    if (type === 'E') onExecuted(bound);
  };
  return (piece) => {
    unread = Buffer.concat([unread, piece]);
    for (;;) {
      const typeBytes = hasStarted ? 1 : 0;
      if (unread.length < typeBytes + 4) return;
      const end = typeBytes + unread.readInt32BE(typeBytes);
      if (unread.length < end) return;
      if (hasStarted) readMessage(unread.toString('latin1', 0, 1), unread.subarray(5, end));
      hasStarted = true;
      unread = unread.subarray(end);
    }
  };
}
