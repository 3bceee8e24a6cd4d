import { once } from 'node:events';
import { deflateRawSync } from 'node:zlib';
import { afterAll, afterEach, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { makeInstallation } from '../support/operations.ts';
import { readCloseCode, toFrame, upgrade } from '../support/raw-upgrade.ts';
import { collectServedSockets } from '../support/served-sockets.ts';
import { connectSocket, type Socket } from '../support/socket.ts';
import { subscribeBySse } from '../support/subscribers.ts';
import { until } from '../support/until.ts';

const g = useDoor({ pollMs: 20 });

const served = collectServedSockets();
afterAll(() => served[Symbol.dispose]());

let sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.close();
  sockets = [];
});

async function connect(secret: string = testKeys.serverKey) {
  const socket = await connectSocket(g.url, secret);
  sockets.push(socket);
  return socket;
}

async function connectRaw(headers?: readonly string[]) {
  const raw = await upgrade(g.url, headers);
  onTestFinished(() => void raw.socket.destroy());
  return raw;
}

const events = 'subscription { deliveryEvents { ... on StreamPosition { state } } }';
const init = { type: 'connection_init', payload: { authorization: `Bearer ${testKeys.serverKey}` } };
const text = 1;
const continuation = 0;
const ping = 9;

test('of one connection 100 operations run at once; the next one is told so, and the connection goes on', async () => {
  const socket = await connect();
  const ids = Array.from({ length: 100 }, (_, index) => `s${index}`);
  for (const id of ids) socket.send({ id, type: 'subscribe', payload: { query: events } });
  for (const _ of ids) expect(await socket.next()).toMatchObject({ type: 'next' });

  socket.send({ id: 'more', type: 'subscribe', payload: { query: events } });
  expect(await socket.next()).toMatchObject({
    id: 'more',
    type: 'error',
    payload: [{ extensions: { code: 'THROTTLED' } }],
  });
  socket.send({ id: 's0', type: 'complete' });
  socket.send({ id: 'again', type: 'subscribe', payload: { query: events } });
  expect(await socket.next()).toMatchObject({ id: 'again', type: 'next' });
});

test('operations that reuse the id of one that was completed at once leave nothing behind when the connection ends', async () => {
  const { token } = await makeInstallation(g.app);
  const socket = await connect(token);
  for (let round = 0; round < 40; round += 1) {
    socket.send({ id: 's', type: 'subscribe', payload: { query: events } });
    socket.send({ id: 's', type: 'complete' });
  }
  socket.close();
  await socket.closed;
  // All 50 are there again.
  await until(async () => {
    const other = await connect(token);
    for (let id = 0; id < 50; id += 1) other.send({ id: `s${id}`, type: 'subscribe', payload: { query: events } });
    const answers = [];
    for (let id = 0; id < 50; id += 1) answers.push((await other.next()).type);
    other.close();
    await other.closed;
    return answers.every((type) => type === 'next');
  });
});

test('an installation has 50 subscriptions at once, over all its connections; the next one is told so, until one ends', async () => {
  const { token } = await makeInstallation(g.app);
  const [one, other] = [await connect(token), await connect(token)];
  for (const socket of [one, other]) {
    for (let id = 0; id < 25; id += 1) socket.send({ id: `s${id}`, type: 'subscribe', payload: { query: events } });
    for (let id = 0; id < 25; id += 1) expect(await socket.next()).toMatchObject({ type: 'next' });
  }
  const throttled = { errors: [{ extensions: { code: 'THROTTLED' } }] };
  const bySse = await subscribeBySse(g.url, { query: events, secret: token });
  expect(await bySse.next()).toMatchObject(throttled);
  one.send({ id: 'more', type: 'subscribe', payload: { query: events } });
  expect(await one.next()).toMatchObject({ id: 'more', type: 'error', payload: throttled.errors });
  const somebodyElse = await connect((await makeInstallation(g.app)).token);
  somebodyElse.send({ id: '1', type: 'subscribe', payload: { query: events } });
  expect(await somebodyElse.next()).toMatchObject({ type: 'next' });

  other.close();
  await until(async () => {
    one.send({ id: 'again', type: 'subscribe', payload: { query: events } });
    return (await one.next()).type === 'next';
  });
  bySse.close();
});

test('a message in several frames, or in a binary one, is a message like any other', async () => {
  const socket = new WebSocket(`${g.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  onTestFinished(() => socket.terminate());
  await once(socket, 'open');
  for (const letter of JSON.stringify(init)) socket.send(letter, { fin: false });
  socket.send('', { fin: true });
  expect(JSON.parse(String((await once(socket, 'message'))[0]))).toMatchObject({ type: 'connection_ack' });
  socket.send(Buffer.from(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } })));
  expect(JSON.parse(String((await once(socket, 'message'))[0]))).toMatchObject({ id: '1', type: 'next' });
});

test('a message of more than 1 MiB is refused with 1009, in one frame or in many, and as soon as it is announced', async () => {
  const kilobyte = Buffer.alloc(1_024, ' ');
  const announced = await connectRaw();
  announced.socket.write(toFrame(kilobyte, { opcode: text, claimedBytes: 1024 * 1024 + 1 }));
  expect(await readCloseCode(announced.socket)).toBe(1009);

  const huge = await connectRaw();
  huge.socket.write(toFrame(kilobyte, { opcode: text, claimedBytes: 2 ** 40 }));
  expect(await readCloseCode(huge.socket)).toBe(1009);

  const fragmented = new WebSocket(`${g.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await once(fragmented, 'open');
  for (let count = 0; count < 1_025; count += 1) fragmented.send(kilobyte, { fin: false, binary: false });
  expect((await once(fragmented, 'close'))[0]).toBe(1009);
});

test('nothing is taken compressed, so that a little cannot become a lot: it is neither agreed on nor let pass', async () => {
  const offer = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits';
  const { socket, head } = await connectRaw([offer]);
  expect(head).toContain('101 Switching Protocols');
  expect(head.toLowerCase()).not.toContain('sec-websocket-extensions');
  socket.write(toFrame(deflateRawSync(Buffer.alloc(1024 * 1024, ' ')), { opcode: text, hasReservedBit: true }));
  expect(await readCloseCode(socket)).toBe(1002);
});

test.each([
  ['that goes on with nothing', toFrame(Buffer.from('a'), { opcode: continuation }), 1002],
  ['of an unknown kind', toFrame(Buffer.from('a'), { opcode: 11 }), 1002],
  ['that is a ping of more than 125 bytes', toFrame(Buffer.alloc(126), { opcode: ping }), 1002],
  ['of half a character', toFrame(Buffer.from([0xc3]), { opcode: text }), 1007],
  ['that is not masked', Buffer.from([0x81, 1, 97]), 1002],
])('a frame %s is refused', async (_, frame, code) => {
  const { socket } = await connectRaw();
  socket.write(frame);
  expect(await readCloseCode(socket)).toBe(code);
});

test('a flood of pings by a client that takes no pong ends its connection, and keeps nothing of it', async () => {
  const { socket } = await connectRaw();
  const server = served.sockets.find(({ remotePort }) => remotePort === socket.localPort);
  socket.pause();
  const frame = toFrame(Buffer.alloc(125), { opcode: ping });
  const flood = Buffer.concat(Array.from({ length: 8_000 }, () => frame));
  const floodsCount = 40;
  for (let count = 0; count < floodsCount; count += 1) socket.write(flood);
  await until(async () => server?.destroyed ?? false);
  expect(server?.bytesRead).toBeLessThan((flood.length * floodsCount) / 2);
  expect((await g.server.send('{ __typename }')).status).toBe(200);
});
