import { afterAll, expect, test, vi } from 'vitest';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { findDisorder, framesOf, itemOf, parseFrame, type RawSocket, useRawSockets } from '../support/raw-sockets.ts';
import { collectServedSockets } from '../support/served-sockets.ts';
import { makeServerKey, makeTopic } from '../support/topic.ts';
import { until } from '../support/until.ts';

// Frames that the hub writes to sockets by itself, beside the messages of graphql-ws on the same sockets.

const door = useDoor({ pollMs: 10 });
const connect = useRawSockets(door);
const served = collectServedSockets();
afterAll(() => served[Symbol.dispose]());

/** @param name what each answer calls the status: as long as a frame is to be. */
const follow = (name = 'status') => `
  subscription ($notification: ID!, $after: String) {
    deliveryEvents(notification: $notification, after: $after) {
      ... on DeliveryEvent { cursor ${name}: status delivery { id } }
      ... on StreamPosition { cursor state }
    }
  }`;

/** Deliveries of the events that an operation was told of, in order. */
function deliveriesOf(socket: RawSocket, id: string): string[] {
  return framesOf(socket, id).flatMap((frame) => {
    const delivery = itemOf(frame)?.delivery;
    return delivery ? [String(Object(delivery).id)] : [];
  });
}

/** Waits until each operation of this id was told LIVE and so many events. */
const untilAllHave = (sockets: readonly RawSocket[], id: string, count: number) =>
  until(async () => sockets.every((socket) => framesOf(socket, id).length > count));

async function subscribeAll(sockets: readonly RawSocket[], id: string, notification: string, name?: string) {
  for (const socket of sockets) socket.subscribe(id, { query: follow(name), variables: { notification } });
  await untilAllHave(sockets, id, 0);
}

const connectMany = (count: number) => Promise.all(Array.from({ length: count }, () => connect(testKeys.serverKey)));

test('after the server has taken an operation’s completion no answer to it comes, and another operation goes on from its cursor', async () => {
  const { notification, happens, listDeliveries } = await makeTopic(door);
  const [leaver, ...others] = await connectMany(5);
  if (!leaver) throw new Error('There are five.');
  await subscribeAll([leaver, ...others], '0', notification);
  await happens(1);
  await untilAllHave([leaver, ...others], '0', 1);
  for (let round = 0; round < 6; round += 1) {
    const made = happens(200);
    const pong = JSON.stringify({ type: 'pong', payload: { round } });
    await until(async () => framesOf(leaver, `${round}`).length > 20);
    leaver.send({ id: `${round}`, type: 'complete' });
    leaver.send({ type: 'ping', payload: { round } });
    await until(async () => leaver.frames.includes(pong));
    expect(leaver.frames.indexOf(pong)).toBeGreaterThan(
      leaver.frames.lastIndexOf(framesOf(leaver, `${round}`).at(-1) ?? ''),
    );
    await made;
    const { cursor: after } = itemOf(framesOf(leaver, `${round}`).at(-1) ?? '');
    leaver.subscribe(`${round + 1}`, { query: follow(), variables: { notification, after } });
  }
  const expected = await listDeliveries();
  await untilAllHave(others, '0', expected.length);
  const toldToLeaver = () => Array.from({ length: 7 }, (_, round) => deliveriesOf(leaver, `${round}`)).flat();
  await until(async () => toldToLeaver().length >= expected.length);
  expect(toldToLeaver()).toEqual(expected);
  for (const socket of others) expect(deliveriesOf(socket, '0')).toEqual(expected);
  for (const id of ['0', '1', '2', '3', '4', '5']) {
    const pong = leaver.frames.indexOf(JSON.stringify({ type: 'pong', payload: { round: Number(id) } }));
    expect(leaver.frames.lastIndexOf(framesOf(leaver, id).at(-1) ?? '')).toBeLessThan(pong);
  }
});

test('when everybody has completed in the middle of a burst, nothing is read any more', async () => {
  const { notification, happens } = await makeTopic(door);
  const sockets = await connectMany(10);
  await subscribeAll(sockets, 'a', notification);
  await happens(1);
  await untilAllHave(sockets, 'a', 1);
  const made = happens(1_000);
  await untilAllHave(sockets, 'a', 20);
  for (const socket of sockets) socket.send({ id: 'a', type: 'complete' });
  await made;
  await vi.waitUntil(() => door.takeLogReads().length === 0, { timeout: 20_000, interval: 100 });
  await happens(1);
  expect(door.takeLogReads()).toEqual([]);
});

test.each([
  'reads',
  'does not read',
])('answers, errors and completions of a client that %s never overtake each other', async (how) => {
  const { notification, happens, listDeliveries } = await makeTopic(door);
  const { secret, revoke } = await makeServerKey(door);
  const [socket, other] = [await connect(secret), await connect(testKeys.serverKey)];
  const warnings: Error[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  const ids = Array.from({ length: 12 }, (_, index) => `${index}`);
  for (const id of ids) await subscribeAll([socket], id, notification, 'x'.repeat(10_000));
  await subscribeAll([other], 'a', notification);
  await happens(1);
  await untilAllHave([socket], '11', 1);
  await untilAllHave([other], 'a', 1);
  if (how === 'does not read') socket.pause();
  for (let round = 1; round <= 5; round += 1) {
    const made = happens(20);
    socket.subscribe(`query ${round}`, { query: '{ __typename }' });
    socket.subscribe(`mistake ${round}`, { query: '{ nothing }' });
    socket.send({ type: 'ping' });
    await made;
    await untilAllHave([other], 'a', 1 + 20 * round);
  }
  await revoke();
  await happens(5);
  await untilAllHave([other], 'a', 106);
  socket.resume();
  await until(async () => ids.every((id) => socket.frames.includes(JSON.stringify({ id, type: 'complete' }))));
  expect(findDisorder(socket.frames)).toEqual([]);
  const log = await listDeliveries();
  for (const id of ids) {
    const told = deliveriesOf(socket, id);
    expect(told).toEqual(log.slice(0, told.length));
    expect(told.length).toBeLessThanOrEqual(101);
    const [answer = '', completion] = framesOf(socket, id).slice(-2);
    expect(parseFrame(answer).payload?.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    expect(completion).toBe(JSON.stringify({ id, type: 'complete' }));
  }
  expect(deliveriesOf(other, 'a')).toEqual(log);
  expect(warnings).toEqual([]);
});

test('a socket that stops reading holds little, and 200 others that share with it are told everything', async () => {
  const [{ notification, happens, listDeliveries }, large] = [await makeTopic(door), await makeTopic(door)];
  const [stalled, ...quick] = await connectMany(201);
  if (!stalled) throw new Error('There are 201.');
  await subscribeAll([stalled, ...quick], 'a', notification);
  for (let count = 1; count < 4; count += 1) {
    await happens(1);
    await untilAllHave([stalled, ...quick], 'a', count);
  }
  // Large frames fill what the system holds for a connection: some megabytes.
  await subscribeAll([stalled], 'large', large.notification, 'x'.repeat(50_000));
  stalled.pause();
  const heldBytes = () => Math.max(...served.sockets.map(({ writableLength }) => writableLength));
  await large.happens(200);
  await until(async () => heldBytes() > 64 * 1024);
  let heldBytesMax = 0;
  for (let round = 1; round <= 10; round += 1) {
    await happens(25);
    await untilAllHave(quick, 'a', 3 + 25 * round);
    heldBytesMax = Math.max(heldBytesMax, heldBytes());
  }
  // What filled it, and of each of its two operations a turn and one frame that was about to be written.
  expect(heldBytesMax).toBeLessThanOrEqual((64 + 50 + 32 + 50 + 32) * 1024);
  const expected = await listDeliveries();
  for (const socket of quick) expect(deliveriesOf(socket, 'a')).toEqual(expected);
  stalled.resume();
  await untilAllHave([stalled], 'a', expected.length);
  await untilAllHave([stalled], 'large', 200);
  expect(deliveriesOf(stalled, 'a')).toEqual(expected);
  expect(deliveriesOf(stalled, 'large')).toEqual(await large.listDeliveries());
});
