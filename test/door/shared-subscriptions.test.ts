import { expect, test } from 'vitest';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { useExecutionCounter } from '../support/execution-counter.ts';
import { insertDeliveries, insertNotification, setStatus } from '../support/log-events.ts';
import { makeInstallation, makeUser } from '../support/operations.ts';
import { makePerson } from '../support/people.ts';
import { parseFrame, type RawSocket, useRawSockets } from '../support/raw-sockets.ts';
import { globalIdOf, localIdOf } from '../support/send-operations.ts';
import { subscribeBySse } from '../support/subscribers.ts';
import { followTopic, makeServerKey, makeTopic, type TestTopic } from '../support/topic.ts';
import { until } from '../support/until.ts';

const door = useDoor();
const connect = useRawSockets(door);
const executions = useExecutionCounter();

const connectMany = (count: number) => Promise.all(Array.from({ length: count }, () => connect(testKeys.serverKey)));

const untilAllHave = (sockets: readonly RawSocket[], framesCount: number) =>
  until(async () => sockets.every(({ frames }) => frames.length >= framesCount));

/** What is answered, without which operation it is for. */
const withoutId = (frame: string) => JSON.stringify(parseFrame(frame).payload);

/** Lets something happen so often until all sockets, who are in step, have got on to what they share. */
async function settle(topic: TestTopic, sockets: readonly RawSocket[]) {
  await untilAllHave(sockets, 1);
  for (let round = 2; round < 5; round += 1) {
    await topic.happens();
    await untilAllHave(sockets, round);
  }
}

/** Statements and executions that 10 events, and a burst of 200, cost that all of the sockets are told. */
async function costOf(topic: TestTopic, sockets: readonly RawSocket[]) {
  await settle(topic, sockets);
  const known = sockets[0]?.frames.length ?? 0;
  door.takeStatements();
  executions.take();
  for (let round = 1; round <= 10; round += 1) {
    await topic.happens();
    await untilAllHave(sockets, known + round);
  }
  await topic.happens(200);
  await untilAllHave(sockets, known + 210);
  return { statements: door.takeStatements().toSorted(), executions: executions.take() };
}

test('50 sockets cost one execution, and the same statements, as 1 does, whichever server keys, order of variables and beginnings they have', async () => {
  const secrets = [testKeys.serverKey, (await makeServerKey(door)).secret];
  const [lone, shared] = [await makeTopic(door), await makeTopic(door)];
  const one = await connect(testKeys.serverKey);
  one.subscribe('1', { query: followTopic, variables: { notification: lone.notification, user: lone.user } });
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
    socket.subscribe(`${index}`, { query: followTopic, variables: variables[(index >> 1) % 4] ?? {} });
  }
  expect(await costOf(shared, sockets)).toEqual(expected);
  expect(expected.executions).toBe(210);
  // Deliveries, users and notifications, for each of 10 events and for 200 a hundred at a time.
  expect(expected.statements).toHaveLength(3 * (10 + 2));
});

test('callers over SSE share the execution too, with each other and with sockets', async () => {
  const topic = await makeTopic(door);
  const operation = { query: followTopic, variables: { notification: topic.notification } };
  const callers = await Promise.all(
    Array.from({ length: 20 }, () => subscribeBySse(door.url, { ...operation, secret: testKeys.serverKey })),
  );
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

test('installations never share, not even two of one user that ask the same', async () => {
  const person = await makePerson(door);
  const second = await makeInstallation(door.app);
  await makeUser(door.server, {
    installation: second.pushRegistrationId,
    userIdentity: { externalUserId: person.externalUserId },
  });
  const sockets = [await connect(person.token), await connect(second.token)];
  for (const socket of sockets) socket.subscribe('1', { query: 'subscription { deliveryEvents { __typename } }' });
  await untilAllHave(sockets, 1);
  const notificationId = await insertNotification(door.pool);
  executions.take();
  for (let round = 2; round < 7; round += 1) {
    await insertDeliveries(door.pool, { notificationId, userId: localIdOf(person.id) });
    door.bus.wake();
    await untilAllHave(sockets, round);
  }
  expect(executions.take()).toBe(2 * 5);
});

test('who shared with a socket that has gone, or whose key is revoked, is told everything all the same', async () => {
  const topic = await makeTopic(door);
  const key = await makeServerKey(door);
  const first = await connect(key.secret);
  const sockets = [first, ...(await Promise.all(Array.from({ length: 4 }, () => connect(testKeys.serverKey))))];
  for (const socket of sockets) {
    socket.subscribe('1', { query: followTopic, variables: { notification: topic.notification } });
    // The first one makes what the others share.
    await untilAllHave([socket], 1);
  }
  await settle(topic, sockets);
  await key.revoke();
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
  const sockets = await connectMany(50);
  for (const socket of sockets)
    socket.subscribe('1', { query, variables: { id: globalIdOf('Notification', notificationId) } });
  await untilAllHave(sockets, 1);
  door.takeStatements();
  executions.take();
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
