import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { hashSecret } from '../../src/apps/api-key.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { insertDeliveries, insertNotification, listLog } from '../support/log-events.ts';
import { findDisorder, itemOf, parseFrame, type RawSocket, useRawSockets } from '../support/raw-sockets.ts';
import { until } from '../support/until.ts';

// Frames that the hub writes to sockets by itself, beside the messages of graphql-ws on the same sockets.

const door = useDoor({ pollMs: 10 });
const connect = useRawSockets(door);

/** The door's ends of its connections. */
const ends: Socket[] = [];
const onConnection = (message: unknown) => {
  const { socket } = Object(message);
  if (socket instanceof Socket && String(socket.localPort) === new URL(door.url).port) ends.push(socket);
};
beforeAll(() => subscribe('net.server.socket', onConnection));
afterAll(() => void unsubscribe('net.server.socket', onConnection));

const globalId = (type: string, id: string) => Buffer.from(`${type}:${id}`).toString('base64');

/** @param name what each answer calls the status: as long as a frame is to be. */
const follow = (name = 'status') => `
  subscription ($notification: ID!, $after: String) {
    deliveryEvents(notification: $notification, after: $after) {
      ... on DeliveryEvent { cursor ${name}: status delivery { id } }
      ... on StreamPosition { cursor state }
    }
  }`;

async function makeTopic() {
  const notificationId = await insertNotification(door.pool);
  return {
    notification: globalId('Notification', notificationId),
    happens: (count: number) => insertDeliveries(door.pool, { notificationId, count }),
    /** Global ids of the deliveries, in the order of their events. */
    async deliveries() {
      const log = await listLog(door.pool, notificationId);
      return log.map((line) => globalId('Delivery', line.split(' ')[1] ?? ''));
    },
  };
}

/** Deliveries of the events that an operation was told of, in order. */
function deliveriesOf({ frames }: RawSocket, ...ids: string[]): string[] {
  return frames.flatMap((frame) => {
    const { id = '', type } = parseFrame(frame);
    const delivery = type === 'next' && ids.includes(id) ? itemOf(frame)?.delivery : undefined;
    return delivery ? [String(Object(delivery).id)] : [];
  });
}

const untilAllHave = (sockets: readonly RawSocket[], id: string, count: number) =>
  until(async () => sockets.every((socket) => deliveriesOf(socket, id).length >= count));

async function subscribeAll(sockets: readonly RawSocket[], id: string, notification: string, name?: string) {
  for (const socket of sockets) socket.subscribe(id, { query: follow(name), variables: { notification } });
  await until(async () => sockets.every(({ frames }) => frames.some((frame) => parseFrame(frame).id === id)));
}

const connectMany = (count: number) => Promise.all(Array.from({ length: count }, () => connect(testKeys.serverKey)));

test('after the server has taken an operation’s completion no answer to it comes, and another operation goes on from its cursor', async () => {
  const { notification, happens, deliveries } = await makeTopic();
  const sockets = await connectMany(5);
  const [leaver] = sockets;
  if (!leaver) throw new Error('There are five.');
  await subscribeAll(sockets, 'a', notification);
  await happens(1);
  await untilAllHave(sockets, 'a', 1);
  for (let round = 0; round < 10; round += 1) {
    const made = happens(300);
    const had = leaver.frames.length;
    await until(async () => leaver.frames.length > had + 20);
    const id = `${round === 0 ? 'a' : round}`;
    leaver.send({ id, type: 'complete' });
    leaver.send({ type: 'ping', payload: { round } });
    await until(async () => leaver.frames.some((frame) => frame === JSON.stringify({ type: 'pong', payload: { round } })));
    const after = leaver.frames.findLast((frame) => parseFrame(frame).id === id) ?? '';
    await made;
    leaver.subscribe(`${round + 1}`, { query: follow(), variables: { notification, after: itemOf(after).cursor } });
  }
  const expected = await deliveries();
  await untilAllHave(sockets.slice(1), 'a', expected.length);
  const ids = ['a', ...Array.from({ length: 10 }, (_, round) => `${round + 1}`)];
  await until(async () => deliveriesOf(leaver, ...ids).length >= expected.length);
  for (const socket of sockets.slice(1)) expect(deliveriesOf(socket, 'a')).toEqual(expected);
  expect(deliveriesOf(leaver, ...ids)).toEqual(expected);
  for (const [round, id] of ids.slice(0, -1).entries()) {
    const pong = leaver.frames.indexOf(JSON.stringify({ type: 'pong', payload: { round } }));
    expect(leaver.frames.slice(pong).filter((frame) => parseFrame(frame).id === id)).toEqual([]);
  }
});

test('when everybody has completed in the middle of a burst, nothing is read any more', async () => {
  const { notification, happens } = await makeTopic();
  const sockets = await connectMany(10);
  await subscribeAll(sockets, 'a', notification);
  await happens(1);
  await untilAllHave(sockets, 'a', 1);
  const made = happens(1_000);
  await untilAllHave(sockets, 'a', 20);
  for (const socket of sockets) socket.send({ id: 'a', type: 'complete' });
  await made;
  let readsCount = -1;
  await vi.waitUntil(() => (readsCount = door.takeLogReads().length) === 0, { timeout: 20_000, interval: 100 });
  expect(readsCount).toBe(0);
  await happens(1);
  expect(door.takeLogReads()).toEqual([]);
});

/** A server key that is nobody else's. */
async function makeKey() {
  const secret = randomUUID();
  await door.pool.query(sql`
    insert into api_keys (id, kind, name, secret_hash) values (${newId()}::uuid, 'SERVER', 'test', ${hashSecret(secret)})`);
  const revoke = () => door.pool.query(sql`update api_keys set revoked_at = now() where secret_hash = ${hashSecret(secret)}`);
  return { secret, revoke };
}

test.each(['reads', 'does not read'])('answers, errors and completions of a client that %s never overtake each other', async (how) => {
  const { notification, happens, deliveries } = await makeTopic();
  const { secret, revoke } = await makeKey();
  const [socket, other] = [await connect(secret), await connect(testKeys.serverKey)];
  const ids = Array.from({ length: 10 }, (_, index) => `${index}`);
  for (const id of ids) await subscribeAll([socket], id, notification, 'x'.repeat(10_000));
  await subscribeAll([other], 'a', notification);
  await happens(1);
  await untilAllHave([socket], '9', 1);
  if (how === 'does not read') socket.pause();
  for (let round = 0; round < 5; round += 1) {
    const made = happens(20);
    for (const id of [`query ${round}`, `mistake ${round}`]) {
      socket.subscribe(id, { query: id.startsWith('query') ? '{ __typename }' : '{ nothing }' });
    }
    socket.send({ type: 'ping' });
    await made;
    await untilAllHave([other], 'a', 1 + 20 * (round + 1));
  }
  await revoke();
  await happens(5);
  await untilAllHave([other], 'a', 106);
  socket.resume();
  const isOver = (id: string) => socket.frames.some((frame) => frame === JSON.stringify({ id, type: 'complete' }));
  await until(async () => ids.every(isOver));
  expect(findDisorder(socket.frames)).toEqual([]);
  const log = await deliveries();
  for (const id of ids) {
    const told = deliveriesOf(socket, id);
    expect(told).toEqual(log.slice(0, told.length));
    expect(told.length).toBeLessThanOrEqual(101);
    const [answer = '', completion] = socket.frames.filter((frame) => parseFrame(frame).id === id).slice(-2);
    expect(parseFrame(answer).payload?.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    expect(completion).toBe(JSON.stringify({ id, type: 'complete' }));
  }
  expect(socket.frames.filter((frame) => parseFrame(frame).type === 'pong')).toHaveLength(5);
  expect(deliveriesOf(other, 'a')).toEqual(log);
});

test('a socket that stops reading holds little, and 200 others that share with it are told everything', async () => {
  const [{ notification, happens, deliveries }, large] = [await makeTopic(), await makeTopic()];
  const sockets = await connectMany(201);
  const [stalled, ...quick] = sockets;
  if (!stalled) throw new Error('There are 201.');
  await subscribeAll(sockets, 'a', notification);
  for (let count = 1; count < 4; count += 1) {
    await happens(1);
    await untilAllHave(sockets, 'a', count);
  }
  // Large frames fill what the system holds for a connection: some megabytes.
  await subscribeAll([stalled], 'large', large.notification, 'x'.repeat(50_000));
  stalled.pause();
  const heldBytes = () => Math.max(...ends.map(({ writableLength }) => writableLength));
  await large.happens(400);
  await until(async () => heldBytes() > 64 * 1024);
  let heldBytesMax = 0;
  for (let round = 0; round < 20; round += 1) {
    await happens(25);
    await untilAllHave(quick, 'a', 3 + 25 * (round + 1));
    heldBytesMax = Math.max(heldBytesMax, heldBytes());
  }
  // Of each of its two operations what filled it, a turn, and one that was about to be written.
  expect(heldBytesMax).toBeLessThanOrEqual(2 * (64 + 50 + 50) * 1024);
  const expected = await deliveries();
  for (const socket of quick) expect(deliveriesOf(socket, 'a')).toEqual(expected);
  stalled.resume();
  await untilAllHave([stalled], 'a', expected.length);
  await untilAllHave([stalled], 'large', 400);
  expect(deliveriesOf(stalled, 'a')).toEqual(expected);
  expect(deliveriesOf(stalled, 'large')).toEqual(await large.deliveries());
});
