import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { openSlowPeer, type SlowPeer, type WayToAsk, waysToAsk } from '../support/slow-peer.ts';
import { connectSocket } from '../support/socket.ts';
import { type Subscriber, subscribeByWebSocket } from '../support/subscribers.ts';
import { until } from '../support/until.ts';

const stalledMs = 600;
const g = useDoor({ stalledMs });

const waysToFollow = ['SSE', 'WebSocket'] as const;

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

// A long name for a short value makes a large answer of a small question: more than the system takes for a peer, however
// many types there are.
const nameLength = Math.ceil((32 * mebibyte) / Object.keys(schema.getTypeMap()).length);
const largeAnswer = `{ __schema { types { ${'a'.repeat(nameLength)}: name } } }`;

/** Waits until another one was cut that reads nothing. */
async function untilAnotherIsCut(way: WayToAsk) {
  using other = await openSlowPeer(g.url, way, largeAnswer);
  await other.cut;
}

/** Reads `bytes`: a little now and then for as long as something else goes on, then the rest. */
async function readSlowly(peer: SlowPeer, bytes: number, goesOn: Promise<void>): Promise<void> {
  const pieceBytes = 400 * kibibyte;
  let leftBytes = bytes;
  let isOver = false;
  const over = goesOn.finally(() => {
    isOver = true;
  });
  for (; !isOver && leftBytes > pieceBytes; leftBytes -= pieceBytes) {
    await peer.read(pieceBytes);
    await pause(stalledMs / 10);
  }
  await over;
  await peer.read(leftBytes);
}

async function takeAnswers(subscriber: Subscriber, count: number) {
  for (let taken = 0; taken < count; taken += 1) expect(await subscriber.next()).toHaveProperty('data');
}

async function countBytes(query: string): Promise<number> {
  const response = await fetch(`${g.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${testKeys.serverKey}` },
    body: JSON.stringify({ query }),
  });
  return (await response.arrayBuffer()).byteLength;
}

test.each(waysToAsk)('over %s, who reads nothing is cut, while who reads slowly gets the whole answer', async (way) => {
  const byteLength = await countBytes(largeAnswer);
  using peer = await openSlowPeer(g.url, way, largeAnswer);
  await readSlowly(peer, byteLength, untilAnotherIsCut(way));
});

test.each(
  waysToFollow,
)('a subscriber over %s that reads nothing is cut; before, it holds little, and others get all', async (way) => {
  const notification = await insertNotification(g.pool);
  const large = `... on DeliveryEvent { ${'a'.repeat(10_000)}: status }`;
  await insertDeliveries(g.pool, { notificationId: notification, count: 1_000 });
  const query = `subscription { deliveryEvents(notification: "${notification}", after: "") { ${large} } }`;
  using peer = await openSlowPeer(g.url, way, query);
  await until(async () => peer.served.writableLength > 0);
  const other = await subscribeByWebSocket(g.url, { query, secret: testKeys.serverKey });
  // What is kept, and RECOVERED.
  await takeAnswers(other, 1_001);

  const waitingBytes: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    await insertDeliveries(g.pool, { notificationId: notification, count: 200 });
    g.bus.wake();
    await takeAnswers(other, 200);
    waitingBytes.push(peer.served.writableLength);
  }
  await peer.cut;
  other.close();

  expect(Math.max(...waitingBytes)).toBeLessThan(mebibyte);
});

test('a WebSocket that answers no ping is cut though nothing waits for it; one that does is kept, and so is SSE', async () => {
  const idle = await connectSocket(g.url, testKeys.serverKey);
  using listener = await openSlowPeer(g.url, 'SSE', 'subscription { deliveryEvents { __typename } }');
  using silent = await openSlowPeer(g.url, 'WebSocket', '{ __typename }');
  await silent.cut;
  idle.send({ type: 'ping' });
  expect(await idle.next()).toEqual({ type: 'pong' });
  expect(listener.served.destroyed).toBe(false);
  idle.close();
});

test('a WebSocket that sends and reads nothing is not read either, and cut', async () => {
  using peer = await openSlowPeer(g.url, 'WebSocket', '{ __typename }');
  const echoed = JSON.stringify({ type: 'ping', payload: { text: 'a'.repeat(500 * kibibyte) } });
  for (let count = 0; count < 60; count += 1) peer.send(echoed);
  await peer.cut;
  expect(peer.served.bytesRead).toBeLessThan(20 * mebibyte);
});
