import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type RequestListener } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { prepareDrain } from '../../src/http/drain.ts';

const hour = 3_600_000;

/** A server that answers so, and a client that keeps its connections for later. Nothing happens here by the lapse of time. */
async function startServer(answer: RequestListener) {
  const server = createServer({ keepAliveTimeout: hour }, answer);
  const drain = prepareDrain(server, hour);
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const ask = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get({ host: '127.0.0.1', port, agent }, resolve).on('error', reject);
    });
  return { ask, drain };
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
