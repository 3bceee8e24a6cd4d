import { expect, test } from 'vitest';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { itemOf, type Operation, parseFrame, type RawSocket, useRawSockets } from '../support/raw-sockets.ts';
import { globalIdOf } from '../support/send-operations.ts';
import { followTopic, makeTopic, type TestTopic } from '../support/topic.ts';
import { until } from '../support/until.ts';

// Who shares: what is the same for two operations, and what is not.

const door = useDoor();
const connect = useRawSockets(door);

const connectMany = (count: number) => Promise.all(Array.from({ length: count }, () => connect(testKeys.serverKey)));

const untilAllHave = (sockets: readonly RawSocket[], framesCount: number) =>
  until(async () => sockets.every(({ frames }) => frames.length >= framesCount));

/** Lets something happen so often until all sockets, who are in step, have got on to what they share. */
async function settle(topic: TestTopic, sockets: readonly RawSocket[]) {
  await untilAllHave(sockets, 1);
  for (let round = 2; round < 5; round += 1) {
    await topic.happens();
    await untilAllHave(sockets, round);
  }
}

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
  const topic = await makeTopic(door);
  const sockets = await connectMany(3);
  const operation = { query: followTopic, variables: { notification: topic.notification } };
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
      payloads.add(
        mine
          .slice(1)
          .map((frame) => frame.slice(begin.length))
          .join('\n'),
      );
    }
  }
  expect(payloads.size).toBe(1);
});

test('another document, operation, variable or topic is not mixed up, though the event is the same', async () => {
  const [topic, other] = [await makeTopic(door), await makeTopic(door)];
  const { notification, user } = topic;
  const two = `
    query A { __typename }
    subscription B($n: ID!) { deliveryEvents(notification: $n) { ... on DeliveryEvent { cursor b: status } } }
    subscription C($n: ID!) { deliveryEvents(notification: $n) { ... on DeliveryEvent { cursor c: status } } }`;
  const included = `
    subscription ($n: ID!, $isIncluded: Boolean!) {
      deliveryEvents(notification: $n) { ... on DeliveryEvent { cursor d: status e: status @include(if: $isIncluded) } }
    }`;
  const plain =
    'subscription ($n: ID, $u: UserRef) { deliveryEvents(notification: $n, user: $u) { ... on DeliveryEvent { cursor f: status } } }';
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
  const sockets = await connectMany(2 * asked.length);
  const strangers = await connectMany(asked.length);
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
  const topic = await makeTopic(door);
  const sockets = await connectMany(6);
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
  const topic = await makeTopic(door);
  const [first = '', second = ''] = await topic.happens(3);
  const query = `subscription ($n: ID!, $cursor: String) { deliveryEvents(notification: $n) { ${ofUser('first: 1, after: $cursor')} } }`;
  const sockets = await connectMany(6);
  for (const [index, socket] of sockets.entries()) {
    const cursor = index % 2 === 0 ? null : Buffer.from(first).toString('base64url');
    socket.subscribe('1', { query, variables: { n: topic.notification, cursor } });
  }
  await settle(topic, sockets);
  for (const [index, { frames }] of sockets.entries()) {
    const expected = globalIdOf('Delivery', index % 2 === 0 ? first : second);
    for (const frame of frames.slice(1)) {
      expect(itemOf(frame)).toEqual({ delivery: { user: { deliveries: { nodes: [{ id: expected }] } } } });
    }
  }
});
