import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type RequestListener } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { prepareDrain } from '../../src/http/drain.ts';
import { until } from '../support/until.ts';

const hour = 3_600_000;

/** A server that answers so, and a client that keeps its connections for later. Nothing happens here by the lapse of time. */
async function startServer(answer: RequestListener, { idleMs = 0 } = {}) {
  const server = createServer({ keepAliveTimeout: hour }, answer);
  const drain = prepareDrain(server, { drainMs: hour, idleMs });
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const ask = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get({ host: '127.0.0.1', port, agent }, resolve).on('error', reject);
    });
  return { ask, drain, server, port };
}

test('a stream whose source goes on ends whole, with what was written before', async () => {
  const piece = 'x'.repeat(1_000_000);
  const { ask, drain } = await startServer((_, response) => {
    response.setHeader('content-type', 'text/event-stream');
    // Its client does not take it: what is written waits, and so does the end.
    for (let count = 0; count < 10; count += 1) response.write(piece);
    const goOn = setInterval(() => response.write('more'), 1);
    response.on('close', () => clearInterval(goOn));
  });
  const stream = await ask();
  const drained = drain();
  const body = await text(stream);
  expect(body.length).toBeGreaterThanOrEqual(10 * piece.length);
  expect(stream.complete).toBe(true);
  await drained;
});

test('an answer under way arrives, and its connection does not keep the server', async () => {
  const { promise: asked, resolve: hasAsked } = Promise.withResolvers<void>();
  const { promise: stopping, resolve: hasStopped } = Promise.withResolvers<void>();
  const { ask, drain } = await startServer(async (_, response) => {
    hasAsked();
    await stopping;
    response.end('answer');
  });
  const answering = ask();
  await asked;
  const drained = drain();
  hasStopped();
  expect(await text(await answering)).toBe('answer');
  await drained;
});

test('a connection that is kept for later does not keep the server', async () => {
  const { ask, drain } = await startServer((_, response) => response.end('answer'));
  expect(await text(await ask())).toBe('answer');
  await drain();
});

/** Whether nobody listens at the port any more. */
async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

test('what comes on a connection that was in use is answered, and told that it is the last, when nobody else is let in', async () => {
  const { ask, drain, port } = await startServer((_, response) => response.end('answer'), { idleMs: hour });
  const first = await ask();
  expect(first.headers.connection).toBe('keep-alive');
  expect(await text(first)).toBe('answer');
  const drained = drain();
  await until(() => isRefused(port));
  const last = await ask();
  expect(last.headers.connection).toBe('close');
  expect(await text(last)).toBe('answer');
  await drained;
});

test('a request of which a part has arrived is waited for', async () => {
  const { drain, server, port } = await startServer((_, response) => response.end('answer'));
  const accepted = once(server, 'connection');
  const client = connect(port, '127.0.0.1');
  onTestFinished(() => void client.destroy());
  const answers = text(client);
  const [served]: Socket[] = await accepted;
  client.write('GET / HTTP/1.1\r\n');
  await until(async () => (served?.bytesRead ?? 0) > 0);
  const drained = drain();
  await until(() => isRefused(port));
  client.write('Host: a\r\n\r\n');
  expect(await answers).toMatch(/^HTTP\/1\.1 200 OK\r\n(.+\r\n)*\r\nanswer$/);
  await drained;
});

test('a stream that is asked for while the server stops ends at once, whole', async () => {
  let asked = 0;
  const { ask, drain, port } = await startServer(
    (_, response) => {
      asked += 1;
      if (asked === 1) return response.end('answer');
      return response.setHeader('content-type', 'text/event-stream').write('item');
    },
    { idleMs: hour },
  );
  expect(await text(await ask())).toBe('answer');
  const drained = drain();
  await until(() => isRefused(port));
  const stream = await ask();
  expect(await text(stream)).toBe('item');
  expect(stream.complete).toBe(true);
  await drained;
});
