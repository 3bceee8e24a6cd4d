import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { hashSecret } from '../../src/apps/api-key.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { useExecutionCounter } from '../support/execution-counter.ts';
import { insertDeliveries, insertNotification, insertUser, setStatus } from '../support/log-events.ts';
import { itemOf, type Operation, parseFrame, type RawSocket, useRawSockets } from '../support/raw-sockets.ts';
import { subscribeBySse } from '../support/subscribers.ts';
import { until } from '../support/until.ts';

const door = useDoor();
const connect = useRawSockets(door);
const executions = useExecutionCounter();

const follow = `
  subscription ($notification: ID!, $after: String, $user: UserRef) {
    deliveryEvents(notification: $notification, after: $after, user: $user) {
      ... on DeliveryEvent { cursor status delivery { id user { id } notification { id } } }
      ... on StreamPosition { cursor state }
    }
  }`;

const globalId = (type: string, id: string) => Buffer.from(`${type}:${id}`).toString('base64');

/** A server key that is nobody else's. */
async function makeKey(): Promise<string> {
  const secret = randomUUID();
  await door.pool.query(sql`
    insert into api_keys (id, kind, name, secret_hash)
    values (${newId()}::uuid, 'SERVER', 'test', ${hashSecret(secret)})`);
  return secret;
}

/** A notification and a user for whom it is. */
async function makeTopic() {
  const [notificationId, userId] = [await insertNotification(door.pool), await insertUser(door.pool)];
  return {
    notification: globalId('Notification', notificationId),
    user: { id: globalId('User', userId) },
    /** So many events by one statement, and their deliveries' ids. */
    async happens(count = 1) {
      const ids = await insertDeliveries(door.pool, { notificationId, userId, count });
      door.bus.wake();
      return ids;
    },
  };
}

const untilAllHave = (sockets: readonly RawSocket[], framesCount: number) =>
  until(async () => sockets.every(({ frames }) => frames.length >= framesCount));

/** What is answered, without which operation it is for. */
const withoutId = (frame: string) => JSON.stringify(parseFrame(frame).payload);

/** Lets something happen so often until all sockets, who are in step, have got on to what they share. */
async function settle(topic: { happens(): Promise<unknown> }, sockets: readonly RawSocket[]) {
  await untilAllHave(sockets, 1);
  for (let round = 2; round < 5; round += 1) {
    await topic.happens();
    await untilAllHave(sockets, round);
  }
}

/** Statements and executions that 20 events, and a burst of 200, cost that all of the sockets are told. */
async function costOf(topic: { happens(count?: number): Promise<unknown> }, sockets: readonly RawSocket[]) {
  await settle(topic, sockets);
  const known = sockets[0]?.frames.length ?? 0;
  door.takeStatements();
  executions.take();
  for (let round = 1; round <= 20; round += 1) {
    await topic.happens();
    await untilAllHave(sockets, known + round);
  }
  await topic.happens(200);
  await untilAllHave(sockets, known + 220);
  return { statements: door.takeStatements().toSorted(), executions: executions.take() };
}

test('50 sockets cost one execution, and the same statements, as 1 does, whichever server keys, order of variables and beginnings they have', async () => {
  const secrets = [testKeys.serverKey, await makeKey()];
  const [lone, shared] = [await makeTopic(), await makeTopic()];
  const one = await connect(testKeys.serverKey);
  one.subscribe('1', { query: follow, variables: { notification: lone.notification, user: lone.user } });
  const expected = await costOf(lone, [one]);

  const { notification, user } = shared;
  const variables = [
    { notification, user },
    { user, notification },
    { after: '', notification, user },
    { user, after: null, notification },
  ];
  const sockets = await Promise.all(Array.from({ length: 50 }, (_, index) => connect(secrets[index % 2] ?? '')));
  for (const [index, socket] of sockets.entries()) {
    socket.subscribe(`${index}`, { query: follow, variables: variables[(index >> 1) % 4] ?? {} });
  }
  expect(await costOf(shared, sockets)).toEqual(expected);
  expect(expected.executions).toBe(220);
  // Deliveries, users and notifications, for each of 20 events and for 200 a hundred at a time.
  expect(expected.statements).toHaveLength(3 * (20 + 2));
});

const ids = [
  '1',
  'a "quoted" id',
  'back\\slash \\" and \\u0000',
  'ünï 🎉 \u2028\u2029\u0000\n',
  '</script>","type":"complete',
  '\ud83c',
  `${'long '.repeat(500)}`,
  '{"id":"1"}',
  '__proto__',
];

test('sockets that share get the same bytes but for the id, which is written as JSON wants it, also twice on one socket', async () => {
  const topic = await makeTopic();
  const sockets = await Promise.all(Array.from({ length: 3 }, () => connect(testKeys.serverKey)));
  const operation = { query: follow, variables: { notification: topic.notification } };
  for (const socket of sockets) for (const id of ids) socket.subscribe(id, operation);
  await untilAllHave(sockets, ids.length);
  for (let round = 2; round < 8; round += 1) {
    await topic.happens();
    await untilAllHave(sockets, round * ids.length);
  }
  const payloads = new Set<string>();
  for (const { frames } of sockets) {
    for (const id of ids) {
      const begin = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
      const mine = frames.filter((frame) => parseFrame(frame).id === id);
      expect(mine).toHaveLength(7);
      for (const frame of mine) {
        expect(frame.startsWith(begin)).toBe(true);
        expect(parseFrame(frame)).toEqual({ id, type: 'next', payload: expect.anything() });
      }
      payloads.add(mine.slice(1).map((frame) => frame.slice(begin.length)).join('\n'));
    }
  }
  expect(payloads.size).toBe(1);
});

test('another document, operation, variable or topic is not mixed up, though the event is the same', async () => {
  const [topic, other] = [await makeTopic(), await makeTopic()];
  const { notification, user } = topic;
  const two = `
    query A { __typename }
    subscription B($n: ID!) { deliveryEvents(notification: $n) { ... on DeliveryEvent { cursor b: status } } }
    subscription C($n: ID!) { deliveryEvents(notification: $n) { ... on DeliveryEvent { cursor c: status } } }`;
  const included = `
    subscription ($n: ID!, $isIncluded: Boolean!) {
      deliveryEvents(notification: $n) { ... on DeliveryEvent { cursor d: status e: status @include(if: $isIncluded) } }
    }`;
  const plain = 'subscription ($n: ID, $u: UserRef) { deliveryEvents(notification: $n, user: $u) { ... on DeliveryEvent { cursor f: status } } }';
  const asked: [Operation, string[]][] = [
    [{ query: two, operationName: 'B', variables: { n: notification } }, ['b']],
    [{ query: two, operationName: 'C', variables: { n: notification } }, ['c']],
    [{ query: included, variables: { n: notification, isIncluded: true } }, ['d', 'e']],
    [{ query: included, variables: { n: notification, isIncluded: false } }, ['d']],
    [{ query: plain, variables: { n: notification } }, ['f']],
    [{ query: plain, variables: { u: user } }, ['f']],
    [{ query: plain, variables: { n: notification, u: user } }, ['f']],
    [{ query: `${plain} # another text`, variables: { n: notification } }, ['f']],
  ];
  const sockets = await Promise.all(asked.flatMap(() => [connect(testKeys.serverKey), connect(testKeys.serverKey)]));
  const strangers = await Promise.all(asked.map(() => connect(testKeys.serverKey)));
  for (const [index, socket] of sockets.entries()) socket.subscribe('1', asked[index >> 1]?.[0] ?? { query: '' });
  for (const socket of strangers) socket.subscribe('1', { query: plain, variables: { n: other.notification } });
  await untilAllHave([...sockets, ...strangers], 1);
  for (let round = 2; round < 8; round += 1) {
    await topic.happens();
    await untilAllHave(sockets, round);
  }
  await other.happens();
  await untilAllHave(strangers, 2);
  const cursors = new Set<unknown>();
  for (const [index, { frames }] of sockets.entries()) {
    const items = frames.slice(1).map(itemOf);
    for (const item of items) expect(Object.keys(item)).toEqual(['cursor', ...(asked[index >> 1]?.[1] ?? [])]);
    cursors.add(items.map(({ cursor }) => cursor).join());
  }
  expect(cursors.size).toBe(1);
  for (const { frames } of strangers) expect(frames).toHaveLength(2);
});

const ofUser = (args: string) => `... on DeliveryEvent { delivery { user { deliveries(${args}) { nodes { id } } } } }`;

test.each([
  [
    'is used elsewhere too',
    `subscription ($n: ID!, $cursor: String) { deliveryEvents(notification: $n, after: $cursor) { ${ofUser('first: 1, after: $cursor')} } }`,
  ],
  [
    'is used elsewhere too, in a fragment',
    `subscription ($n: ID!, $cursor: String) { deliveryEvents(notification: $n, after: $cursor) { ...F } }
     fragment F on DeliveryStreamItem { ${ofUser('first: 1, after: $cursor')} }`,
  ],
])('what a stream begins after is told apart where it %s', async (_, query) => {
  const topic = await makeTopic();
  const sockets = await Promise.all(Array.from({ length: 6 }, () => connect(testKeys.serverKey)));
  // A list takes null, and refuses what is no cursor of its own.
  for (const [index, socket] of sockets.entries()) {
    socket.subscribe('1', { query, variables: { n: topic.notification, cursor: index % 2 === 0 ? null : '' } });
  }
  await settle(topic, sockets);
  for (const [index, { frames }] of sockets.entries()) {
    for (const frame of frames.slice(1)) {
      const errors = index % 2 === 0 ? undefined : [{ extensions: { code: 'BAD_USER_INPUT' } }];
      expect(parseFrame(frame).payload?.errors).toEqual(errors && [expect.objectContaining(errors[0])]);
    }
  }
});

test('an `after` of a nested list is no beginning of a stream: who asks for another page gets another', async () => {
  const topic = await makeTopic();
  const [first = '', second = ''] = await topic.happens(3);
  const query = `subscription ($n: ID!, $cursor: String) { deliveryEvents(notification: $n) { ${ofUser('first: 1, after: $cursor')} } }`;
  const sockets = await Promise.all(Array.from({ length: 6 }, () => connect(testKeys.serverKey)));
  for (const [index, socket] of sockets.entries()) {
    const cursor = index % 2 === 0 ? null : Buffer.from(first).toString('base64url');
    socket.subscribe('1', { query, variables: { n: topic.notification, cursor } });
  }
  await settle(topic, sockets);
  for (const [index, { frames }] of sockets.entries()) {
    const expected = globalId('Delivery', index % 2 === 0 ? first : second);
    for (const frame of frames.slice(1)) {
      expect(itemOf(frame)).toEqual({ delivery: { user: { deliveries: { nodes: [{ id: expected }] } } } });
    }
  }
});

test('callers over SSE share the execution too, with each other and with sockets', async () => {
  const topic = await makeTopic();
  const operation = { query: follow, variables: { notification: topic.notification } };
  const callers = await Promise.all(Array.from({ length: 20 }, () => subscribeBySse(door.url, { ...operation, secret: testKeys.serverKey })));
  const socket = await connect(testKeys.serverKey);
  socket.subscribe('1', operation);
  for (const caller of callers) await caller.next();
  await settle(topic, [socket]);
  for (const caller of callers) for (const _ of [2, 3, 4]) await caller.next();
  door.takeStatements();
  executions.take();
  for (let round = 0; round < 5; round += 1) {
    await topic.happens();
    await untilAllHave([socket], 5 + round);
    const frame = socket.frames.at(-1) ?? '';
    for (const caller of callers) expect(JSON.stringify(await caller.next())).toBe(withoutId(frame));
  }
  expect(executions.take()).toBe(5);
  expect(door.takeStatements()).toHaveLength(3 * 5);
  for (const caller of callers) caller.close();
});

test('who shared with a socket that has gone, or whose key is revoked, is told everything all the same', async () => {
  const topic = await makeTopic();
  const revoked = await makeKey();
  const first = await connect(revoked);
  const sockets = [first, ...(await Promise.all(Array.from({ length: 4 }, () => connect(testKeys.serverKey))))];
  for (const socket of sockets) {
    socket.subscribe('1', { query: follow, variables: { notification: topic.notification } });
    // The first one makes what the others share.
    await untilAllHave([socket], 1);
  }
  await settle(topic, sockets);
  await door.pool.query(sql`update api_keys set revoked_at = now() where secret_hash = ${hashSecret(revoked)}`);
  await topic.happens(2);
  await untilAllHave(sockets.slice(1), 6);
  sockets[1]?.close();
  await topic.happens(2);
  await untilAllHave(sockets.slice(2), 8);
  const [expected = '', ...others] = sockets.slice(2).map(({ frames }) => frames.slice(1).join('\n'));
  for (const frames of others) expect(frames).toBe(expected);
  expect(new Set(expected.split('\n')).size).toBe(7);
  expect(first.frames.slice(4).map((frame) => parseFrame(frame).type)).toEqual(['next', 'complete']);
});

test('50 sockets of one notification share one execution of its totals', async () => {
  const notificationId = await insertNotification(door.pool);
  const query = 'subscription ($id: ID!) { notificationProgress(notification: $id) { total sent isComplete } }';
  const sockets = await Promise.all(Array.from({ length: 50 }, () => connect(testKeys.serverKey)));
  for (const socket of sockets) socket.subscribe('1', { query, variables: { id: globalId('Notification', notificationId) } });
  await untilAllHave(sockets, 1);
  door.takeStatements();
  executions.take();
  const statements: number[] = [];
  for (let round = 1; round <= 4; round += 1) {
    const deliveryIds = await insertDeliveries(door.pool, { notificationId, count: 3 });
    door.bus.wake();
    await untilAllHave(sockets, 2 * round);
    await setStatus(door.pool, deliveryIds, 'SENT');
    door.bus.wake();
    await untilAllHave(sockets, 2 * round + 1);
  }
  const told = new Set(sockets.map(({ frames }) => frames.join('\n')));
  expect(told.size).toBe(1);
  expect(executions.take()).toBe(8);
});
