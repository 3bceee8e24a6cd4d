import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { hashSecret } from '../../src/apps/api-key.ts';
import { sql } from '../../src/storage/database.ts';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { subscribeByGraphqlSse } from '../support/graphql-sse-subscriber.ts';
import { insertDeliveries, insertNotification, listLog, setStatus } from '../support/log-events.ts';
import { type parseAnswer, request } from '../support/request.ts';
import { localIdOf } from '../support/send-operations.ts';
import { openSocket } from '../support/socket.ts';
import { type Subscriber, type Subscription, subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';
import { until } from '../support/until.ts';

const g = useDoor({ pollMs: 20 });

let open: Subscriber[] = [];
afterEach(() => {
  for (const subscriber of open) subscriber.close();
  open = [];
});

const events = `
  subscription ($notification: ID, $user: UserRef, $after: String) {
    deliveryEvents(notification: $notification, user: $user, after: $after) {
      ... on DeliveryEvent { cursor status delivery { id } }
      ... on StreamPosition { cursor state }
    }
  }`;

const totals = `
  subscription ($notification: ID!) {
    notificationProgress(notification: $notification) { total sent failed isComplete }
  }`;

/** The notification's events as they are in the log: `<delivery> <status>`. */
async function listEvents(notification: string): Promise<string[]> {
  return (await listLog(g.pool, notification)).map((line) => line.slice(line.indexOf(' ') + 1));
}

/** What `deliveryEvents` tells: a state, or an event as `listEvents` writes it. */
function toItem(answer: Awaited<ReturnType<Subscriber['next']>>): { cursor: string; line: string } {
  const { deliveryEvents: item } = Object(answer?.data);
  return { cursor: item.cursor, line: item.state ?? `${localIdOf(item.delivery.id)} ${item.status}` };
}

async function takeItems(subscriber: Subscriber, count: number) {
  const items: ReturnType<typeof toItem>[] = [];
  while (items.length < count) items.push(toItem(await subscriber.next()));
  return items;
}

const takeLines = async (subscriber: Subscriber, count: number) =>
  (await takeItems(subscriber, count)).map(({ line }) => line);

/** All that it is told until it is told that there is no more to come. */
async function takeAll(subscriber: Subscriber) {
  const answers: ReturnType<typeof parseAnswer>[] = [];
  for (let answer = await subscriber.next(); answer; answer = await subscriber.next()) answers.push(answer);
  return answers;
}

const makeEvents = (notificationId: string, count: number) => insertDeliveries(g.pool, { notificationId, count });

describe.each([
  ['graphql-transport-ws', subscribeByWebSocket],
  ['SSE', subscribeBySse],
  ['the client graphql-sse', subscribeByGraphqlSse],
])('over %s', (_, transport) => {
  async function subscribe(query: string, variables = {}, secret: string | null = testKeys.serverKey) {
    const subscriber = await transport(g.url, { query, variables, secret });
    open.push(subscriber);
    return subscriber;
  }

  test('a subscriber from now on is told so, and then each event in order', async () => {
    const notification = await insertNotification(g.pool);
    await makeEvents(notification, 3);
    const subscriber = await subscribe(events, { notification });
    expect(await takeLines(subscriber, 1)).toEqual(['LIVE']);
    await setStatus(g.pool, await makeEvents(notification, 3), 'SENT');
    expect(await takeLines(subscriber, 6)).toEqual((await listEvents(notification)).slice(3));
  });

  test('a subscriber from the beginning is told each event that is kept, and goes on from there', async () => {
    const notification = await insertNotification(g.pool);
    await makeEvents(notification, 3);
    const subscriber = await subscribe(events, { notification, after: '' });
    expect(await takeLines(subscriber, 4)).toEqual([...(await listEvents(notification)), 'RECOVERED']);
    await makeEvents(notification, 1);
    expect(await takeLines(subscriber, 1)).toEqual((await listEvents(notification)).slice(3));
  });

  test('a subscriber that goes away comes back with its last cursor, and has missed and repeated nothing', async () => {
    const notification = await insertNotification(g.pool);
    const first = await subscribe(events, { notification });
    await takeLines(first, 1);
    await makeEvents(notification, 10);
    const before = await takeItems(first, 4);
    first.close();
    await makeEvents(notification, 10);

    const second = await subscribe(events, { notification, after: before.at(-1)?.cursor });
    const missed = await takeLines(second, 17);
    await makeEvents(notification, 10);
    const after = await takeLines(second, 10);

    expect(missed.at(-1)).toBe('RECOVERED');
    const lines = [...before.map(({ line }) => line), ...missed.slice(0, -1), ...after];
    expect(lines).toEqual(await listEvents(notification));
  });

  test('totals are complete after the last, by themselves', async () => {
    const notification = await insertNotification(g.pool);
    const subscriber = await subscribe(totals, { notification });
    const first = await subscriber.next();
    const ids = await makeEvents(notification, 5);
    await setStatus(g.pool, ids.slice(0, 4), 'SENT');
    await setStatus(g.pool, ids.slice(4), 'FAILED');
    await g.pool.query(sql`update notifications set fan_out_finished_at = now() where id = ${notification}::uuid`);
    const rest = await takeAll(subscriber);

    const none = { total: 0, sent: 0, failed: 0, isComplete: false };
    expect(first?.data).toEqual({ notificationProgress: none });
    const all = { total: 5, sent: 4, failed: 1, isComplete: true };
    expect(rest.at(-1)?.data).toEqual({ notificationProgress: all });
  });

  test('a subscriber that goes away leaves nothing to do', async () => {
    const subscriber = await subscribe(events);
    await takeLines(subscriber, 1);
    g.takeLogReads();
    await until(async () => g.takeLogReads().length > 0);
    subscriber.close();
    await vi.waitUntil(() => g.takeLogReads().length === 0, { interval: 200, timeout: 20_000 });
  });

  test.each<[string, Omit<Subscription, 'secret'> & { secret?: string | null }, string, string]>([
    ['is malformed', { query: 'subscription {' }, 'BAD_USER_INPUT', 'Syntax Error: Expected Name, found <EOF>.'],
    [
      'asks for what is not there',
      { query: 'subscription { nothing }' },
      'BAD_USER_INPUT',
      'Cannot query field "nothing" on type "Subscription".',
    ],
    [
      'lacks a variable',
      { query: totals },
      'BAD_USER_INPUT',
      'Variable "$notification" has invalid value: Expected a value of non-null type "ID!" to be provided.',
    ],
    [
      'holds a NUL',
      { query: events, variables: { after: '\0' } },
      'BAD_USER_INPUT',
      'The variables must not hold the character NUL.',
    ],
    [
      'is nested too deep',
      { query: `subscription ${'{ a'.repeat(20_000)}${' }'.repeat(20_000)}` },
      'OPERATION_TOO_COSTLY',
      'The document is nested more than 64 levels deep.',
    ],
    [
      'goes on from what is no cursor',
      { query: events, variables: { after: 'garbage' } },
      'BAD_USER_INPUT',
      'This is not a cursor that the stream gave.',
    ],
    [
      'follows an unknown notification',
      { query: events, variables: { notification: randomUUID() } },
      'BAD_USER_INPUT',
      'There is no such notification.',
    ],
    [
      'counts an unknown notification',
      { query: totals, variables: { notification: randomUUID() } },
      'BAD_USER_INPUT',
      'There is no such notification.',
    ],
    [
      'follows an unknown user',
      { query: events, variables: { user: { id: randomUUID() } } },
      'BAD_USER_INPUT',
      'There is no such user.',
    ],
    [
      'comes without a key',
      { query: events, secret: null },
      'UNAUTHENTICATED',
      'Authenticate with a key or an installation token that is in force.',
    ],
    [
      'comes with a key that may not',
      { query: events, secret: testKeys.appKey },
      'FORBIDDEN',
      'This caller may not do this.',
    ],
  ])('an operation that %s is told so by one error, and is complete', async (_, {
    query,
    variables,
    secret,
  }, code, message) => {
    const subscriber = await subscribe(query, variables, secret);
    const answers = await takeAll(subscriber);
    expect(answers).toMatchObject([{ errors: [{ message, extensions: { code } }] }]);
    expect(answers[0]?.errors?.[0]?.extensions).not.toHaveProperty('http');
  });

  test('a subscriber whose key is revoked is told so by one error, and is complete', async () => {
    const [secret, name] = [randomUUID(), randomUUID()];
    await g.pool.query(
      `insert into api_keys (id, kind, name, secret_hash) values (gen_random_uuid(), 'SERVER', $1, $2)`,
      [name, Buffer.from(hashSecret(secret))],
    );
    const subscriber = await subscribe(events, {}, secret);
    await takeLines(subscriber, 1);
    await g.pool.query(sql`update api_keys set revoked_at = now() where name = ${name}`);
    expect(await takeAll(subscriber)).toMatchObject([{ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] }]);
  });

  test('a query is answered once, and is complete', async () => {
    expect(await takeAll(await subscribe('{ __typename }'))).toEqual([{ data: { __typename: 'Query' } }]);
  });
});

test('a wrong key is refused before anything is streamed: 401, or the close code 4403', async () => {
  const subscription = { query: events, secret: 'of-no-key-at-all' };
  const socket = await openSocket(g.url);
  socket.send({ type: 'connection_init', payload: { authorization: 'Bearer of-no-key-at-all' } });
  const headers = { accept: 'text/event-stream', authorization: 'Bearer of-no-key-at-all' };
  const answer = await request(`${g.url}/graphql`, { body: JSON.stringify({ query: events }), headers });
  const follower = await subscribeByGraphqlSse(g.url, subscription);

  expect(await socket.closed).toEqual({ code: 4403, reason: 'Forbidden' });
  expect(answer).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  await expect(follower.next()).rejects.toThrow('HTTP 401');
});
