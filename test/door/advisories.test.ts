import { randomUUID } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { testKeys } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { repeat } from '../support/documents.ts';
import { useDoor } from '../support/door.ts';
import { useGateways } from '../support/gateways.ts';
import { makeApiKey, revokeApiKey, rotatedSecret } from '../support/keys.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makeApp } from '../support/make-app.ts';
import { makeInstallation } from '../support/operations.ts';
import { makePartnerKey, makePartnerOperation } from '../support/partner-operations.ts';
import { makePerson } from '../support/people.ts';
import { request } from '../support/request.ts';
import { localIdOf } from '../support/send-operations.ts';
import { connectSocket, openSocket, type Socket } from '../support/socket.ts';
import { type Subscriber, subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';

// Holes that other GraphQL servers have had, by what they were. What `__type` tells through fragments is in
// schema-privacy.test.ts, and how a bomb is refused in cost.test.ts.

const g = useDoor({ pollMs: 20 });
const pair = useGateways();

let open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open) one.close();
  open = [];
});

function keep<Closable extends { close(): void }>(one: Closable): Closable {
  open.push(one);
  return one;
}

const transports = { WebSocket: subscribeByWebSocket, SSE: subscribeBySse };
const globalId = (type: string, id: string) => Buffer.from(`${type}:${id}`).toString('base64');

const followAll = `subscription { deliveryEvents {
  ... on StreamPosition { state }
  ... on DeliveryEvent { delivery { id user { id } notification { id target { installations } } recipient { id } } }
} }`;
const followTotals = 'subscription ($id: ID!) { notificationProgress(notification: $id) { total } }';

let ann: Awaited<ReturnType<typeof makePerson>>;
let bob: Awaited<ReturnType<typeof makePerson>>;
let notificationId: string;
let segmentId: string;
beforeAll(async () => {
  ann = await makePerson(g, { emails: ['ann@example.com'] });
  bob = await makePerson(g, { emails: ['bob@example.com'] });
  notificationId = await insertNotification(g.pool);
  await insertDeliveries(g.pool, { notificationId, userId: localIdOf(bob.id), count: 3 });
  segmentId = randomUUID();
  await g.pool.query(sql`insert into segments (id, name) values (${segmentId}::uuid, 'vip')`);
  await g.pool.query(
    sql`insert into segment_members (segment_id, user_id) values (${segmentId}::uuid, ${localIdOf(bob.id)}::uuid)`,
  );
});

describe.each(Object.entries(transports))('a live query without permission, over %s:', (_, subscribe) => {
  const ask = async (secret: string | null, query: string, variables = {}) =>
    keep(await subscribe(g.url, { query, variables, secret })).next();

  test('who may not read, follows nothing', async () => {
    const variables = { id: globalId('Notification', notificationId) };
    for (const [secret, code] of [
      [null, 'UNAUTHENTICATED'],
      [testKeys.appKey, 'FORBIDDEN'],
    ] as const) {
      expect(await ask(secret, followAll)).toMatchObject({ errors: [{ extensions: { code } }] });
      expect(await ask(secret, followTotals, variables)).toMatchObject({ errors: [{ extensions: { code } }] });
    }
    expect(await ask(ann.token, followTotals, variables)).toMatchObject({
      errors: [{ extensions: { code: 'FORBIDDEN' } }],
    });
  });

  test('who follows its own sees of its events what it may see of its deliveries, and nothing beside', async () => {
    const subscriber = keep(await subscribe(g.url, { query: followAll, secret: ann.token }));
    await subscriber.next();
    const [ownId] = await insertDeliveries(g.pool, { notificationId, userId: localIdOf(ann.id) });
    await insertDeliveries(g.pool, { notificationId, userId: localIdOf(bob.id) });
    g.bus.wake();
    const event = await subscriber.next();
    expect(event).toMatchObject({
      data: {
        deliveryEvents: {
          delivery: { id: globalId('Delivery', ownId ?? ''), user: { id: ann.id }, notification: null },
        },
      },
    });
    expect(JSON.stringify(event)).not.toContain(bob.id);
  });
});

describe('what is protected does not show through filters, totals or references:', () => {
  /** An answer without the words that repeat the question. */
  const ask = async (secret: string | null, query: string, variables: Record<string, unknown>) => {
    const { body } = await g.app.as(secret).send(query, variables);
    return JSON.parse(JSON.stringify(body).replaceAll(String(Object.values(variables)[0]), '(asked)'));
  };

  test.each<[string, string, () => unknown, () => unknown]>([
    ['a user by id', 'query ($x: ID!) { node(id: $x) { id } }', () => bob.id, () => globalId('User', randomUUID())],
    [
      'a user by e-mail',
      'query ($x: String!) { user(ref: { email: $x }) { id } }',
      () => 'bob@example.com',
      () => 'nobody@example.com',
    ],
    [
      'a user by its name',
      'query ($x: String!) { user(ref: { externalUserId: $x }) { id } }',
      () => bob.externalUserId,
      randomUUID,
    ],
    [
      'an installation',
      'query ($x: ID!) { installation(id: $x) { id } }',
      () => bob.installation.pushRegistrationId,
      randomUUID,
    ],
    [
      'deliveries of a user',
      'query ($x: String!) { deliveries(user: { email: $x }) { totalCount nodes { id } } }',
      () => 'bob@example.com',
      () => 'nobody@example.com',
    ],
    [
      'deliveries of a notification',
      'query ($x: ID!) { deliveries(notification: $x) { totalCount nodes { id } } }',
      () => globalId('Notification', notificationId),
      () => globalId('Notification', randomUUID()),
    ],
    [
      'a notification',
      'query ($x: ID!) { notification(id: $x) { id deliveries { totalCount } } }',
      () => globalId('Notification', notificationId),
      () => globalId('Notification', randomUUID()),
    ],
    [
      'members of a segment',
      'query ($x: ID!) { segment(id: $x) { memberCount members { totalCount } } }',
      () => globalId('Segment', segmentId),
      () => globalId('Segment', randomUUID()),
    ],
    [
      'a segment by its node',
      'query ($x: ID!) { nodes(ids: [$x]) { ... on Segment { name memberCount } } }',
      () => globalId('Segment', segmentId),
      () => globalId('Segment', randomUUID()),
    ],
    [
      'a page behind another user',
      'query ($x: ID!) { users(first: 1) { totalCount nodes { id } } node(id: $x) { id } }',
      () => bob.id,
      () => globalId('User', randomUUID()),
    ],
  ])('%s: another person’s is as if there were none', async (_, query, others, missing) => {
    for (const secret of [null, testKeys.appKey, ann.token]) {
      expect(await ask(secret, query, { x: others() })).toEqual(await ask(secret, query, { x: missing() }));
    }
  });

  test('totals count what the caller may see', async () => {
    const { body } = await g.app.as(ann.token).send('{ deliveries { totalCount nodes { user { id } } } }');
    const text = JSON.stringify(body);
    expect(text).not.toContain(bob.id);
    const { deliveries } = Object(body.data ?? {});
    if (deliveries) expect(deliveries.totalCount).toBe(deliveries.nodes.length);
    for (const query of [
      '{ users { totalCount } }',
      '{ notifications { totalCount } }',
      '{ apiKeys { totalCount } }',
      '{ auditLog { totalCount } }',
    ]) {
      expect((await g.app.as(ann.token).send(query)).body).toMatchObject({
        errors: [{ extensions: { code: 'FORBIDDEN' } }],
      });
    }
  });
});

describe('a partner’s persisted-only mode is not got around', () => {
  const document = 'query Health { __typename }';
  const own = 'query Own { viewer { kind } }';
  const text = '{ users { totalCount nodes { id externalUserId } } }';
  let secret: string;
  let documentId: string;
  let othersDocumentId: string;
  beforeAll(async () => {
    const [partner, other] = [randomUUID(), randomUUID()];
    secret = await makePartnerKey(g.server, partner);
    documentId = await makePartnerOperation(g.server, partner, { document });
    othersDocumentId = await makePartnerOperation(g.server, other, { document: own });
  });

  const attempts = (): [string, Record<string, unknown>][] => [
    ['a text', { query: text }],
    ['the text of what is registered for another', { query: own }],
    ['what is registered for another', { documentId: othersDocumentId }],
    ['a text beside what is registered', { query: text, documentId }],
    [
      'a text beside a hash that is registered',
      { query: text, extensions: { persistedQuery: { version: 1, sha256Hash: documentId.slice(7) } } },
    ],
    ['a text to be kept from now on', { query: text, extensions: { persistedQuery: { version: 1 } } }],
    ['a text beside another key', { query: text, extensions: { authorization: `Bearer ${testKeys.serverKey}` } }],
    ['an operation of another name', { documentId, operationName: 'Other' }],
    ['an id of another form', { documentId: documentId.toUpperCase() }],
    ['an id that is none', { documentId: "sha256:' or 1=1" }],
    ['variables that it does not declare', { documentId, variables: { first: 100 } }],
  ];

  test('over WebSocket, by one operation after another, and what is registered goes on working', async () => {
    const socket = keep(await connectSocket(g.url, secret));
    for (const [index, [name, payload]] of attempts().entries()) {
      socket.send({ id: `${index}`, type: 'subscribe', payload });
      const answer = await socket.next();
      expect({ name, ...answer }).toMatchObject({ name, id: `${index}`, type: 'error' });
      expect(JSON.stringify(answer)).not.toMatch(/totalCount|PARTNER/);
    }
    socket.send({ id: 'registered', type: 'subscribe', payload: { documentId } });
    expect(await socket.next()).toMatchObject({ type: 'next', payload: { data: { __typename: 'Query' } } });
  });

  test.each([
    'application/json',
    'text/event-stream',
    'multipart/mixed',
  ])('over HTTP, for an answer as %s', async (accept) => {
    for (const [name, body] of attempts()) {
      const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json', accept };
      const response = await fetch(`${g.url}/graphql`, { method: 'POST', headers, body: JSON.stringify(body) });
      expect({ name, text: await response.text() }).toEqual({
        name,
        text: expect.stringMatching(/OPERATION_NOT_ALLOWED|BAD_USER_INPUT/),
      });
    }
  });

  test('by a socket that was upgraded with a server key in its headers: who calls is who connection_init says', async () => {
    const headers = { authorization: `Bearer ${testKeys.serverKey}` };
    for (const [payload, code] of [
      [{ authorization: `Bearer ${secret}` }, 'OPERATION_NOT_ALLOWED'],
      [{}, 'UNAUTHENTICATED'],
      [undefined, 'UNAUTHENTICATED'],
    ] as const) {
      const socket = keep(await openSocket(g.url, 'graphql-transport-ws', headers));
      socket.send({ type: 'connection_init', payload });
      await socket.next();
      socket.send({ id: '1', type: 'subscribe', payload: { query: text } });
      expect(JSON.stringify(await socket.next())).toContain(code);
    }
  });

  test('by saying a second time who calls', async () => {
    const socket = keep(await connectSocket(g.url, secret));
    socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${testKeys.serverKey}` } });
    socket.send({ id: '1', type: 'subscribe', payload: { query: text } });
    expect((await socket.closed).code).toBe(4429);
  });

  test('nor is that of an app whose clients run registered operations only', async () => {
    const app = await makeApp(g);
    const { token } = await makeInstallation(g.app.as(app.secret));
    await g.pool.query(sql`update apps set is_limited_to_operations = true where id = ${app.id}::uuid`);
    for (const caller of [app.secret, token]) {
      const refusal = { errors: [{ extensions: { code: 'OPERATION_NOT_ALLOWED' } }] };
      await vi.waitFor(async () =>
        expect((await g.app.as(caller).send('{ viewer { kind } }')).body).toMatchObject(refusal),
      );
      for (const subscribe of Object.values(transports)) {
        for (const query of ['{ viewer { kind } }', followAll]) {
          expect(await keep(await subscribe(g.url, { query, secret: caller })).next()).toMatchObject(refusal);
        }
      }
      const address = `${g.url}/graphql?${new URLSearchParams({ query: '{ viewer { kind } }' })}`;
      expect(await request(address, { method: 'GET', headers: { authorization: `Bearer ${caller}` } })).toMatchObject(
        refusal,
      );
    }
  });
});

describe('many guesses do not go into one request', () => {
  const guess = (index: number) =>
    `g${index}: reportDelivery(input: { delivery: "${randomUUID()}", status: OPENED, receiptToken: "${index}" }) { __typename }`;

  test('as aliases, also behind fragments and in a batch', async () => {
    const half = (letter: string) => `fragment ${letter} on Mutation { ${repeat(30, guess).replaceAll('g', letter)} }`;
    for (const query of [`mutation { ${repeat(51, guess)} }`, `mutation { ...A ...B } ${half('A')} ${half('B')}`]) {
      const { body } = await g.app.send(query);
      expect(body).toMatchObject({ errors: [expect.objectContaining({ message: expect.any(String) })] });
      expect(body.data).toBeUndefined();
    }
    const batch = JSON.stringify(Array.from({ length: 3 }, () => ({ query: `mutation { ${guess(1)} }` })));
    expect(await request(`${g.url}/graphql`, { body: batch })).toMatchObject({ status: 400 });
  });

  test('and as many as do, cost each of them', async () => {
    const { body } = await g.nobody.send(`mutation { ${repeat(50, guess)} }`);
    expect(body).toMatchObject({ errors: [{ extensions: { code: 'OPERATION_TOO_COSTLY' } }] });
  });
});

test('a price beyond all bounds is worked out at once, through whatever fragments', async () => {
  const level = (index: number) =>
    `fragment F${index} on User { installations(first: 100) { nodes { user { ${index < 3 ? `...F${index + 1} ...F${index + 1}` : 'id'} } } } }`;
  const query = `{ users(first: 100) { nodes { ...F0 } } } ${repeat(4, level)}`;
  await g.server.send('{ __typename }');
  g.takeStatements();
  const { body } = await g.server.send(query);
  expect(body.errors).toMatchObject([{ extensions: { code: 'OPERATION_TOO_COSTLY' } }]);
  expect(Number(Object(body.errors?.[0]?.extensions.cost).requested)).toBeGreaterThan(10 ** 10);
  expect(g.takeStatements().filter((statement) => !statement.includes('api_keys'))).toEqual([]);
});

describe('a session does not outlive what it stands on, on whichever gateway it is:', () => {
  interface Session {
    sockets: Socket[];
    streams: Subscriber[];
  }

  /** What somebody has open: at each gateway a socket, and a subscription by each transport. */
  async function openSession(secret: string): Promise<Session> {
    const sockets = await Promise.all(pair.urls.map((url) => connectSocket(url, secret)));
    const subscribe = Object.values(transports).flatMap((transport) =>
      pair.urls.map((url) => transport(url, { query: followAll, secret })),
    );
    const streams = await Promise.all(subscribe);
    open.push(...sockets, ...streams);
    for (const stream of streams)
      expect(await stream.next()).toMatchObject({ data: { deliveryEvents: { state: 'LIVE' } } });
    return { sockets, streams };
  }

  const refusal = { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] };

  /** That all of it ends within a second, and nothing more is begun anywhere. */
  async function expectEnd({ sockets, streams }: Session, secret: string) {
    const began = performance.now();
    for (const stream of streams) {
      expect(await stream.next()).toMatchObject(refusal);
      expect(await stream.next()).toBeNull();
    }
    const isRefused = async (answer: () => Promise<unknown>) =>
      vi.waitFor(async () => expect(await answer()).toMatchObject(refusal), { interval: 20 });
    for (const url of pair.urls) {
      await isRefused(async () => (await createClient(url, secret).send('{ viewer { kind } }')).body);
      await isRefused(async () => {
        const headers = { authorization: `Bearer ${secret}`, accept: 'text/event-stream' };
        return request(`${url}/graphql`, { body: JSON.stringify({ query: followAll }), headers });
      });
      const fresh = keep(await openSocket(url));
      fresh.send({ type: 'connection_init', payload: { authorization: `Bearer ${secret}` } });
      expect((await fresh.closed).code).toBe(4403);
    }
    for (const socket of sockets) {
      socket.send({ id: '1', type: 'subscribe', payload: { query: '{ viewer { kind } }' } });
      expect(await socket.next()).toMatchObject({ type: 'error', payload: refusal.errors });
    }
    // A second, and what a busy machine takes to say so.
    expect(performance.now() - began).toBeLessThan(3_000);
  }

  test('a key that is revoked', async () => {
    const { id, secret } = await makeApiKey(pair.server, { kind: 'DASHBOARD', name: 'revoked' });
    const session = await openSession(secret);
    expect(await revokeApiKey(pair.server, { apiKey: id })).toMatchObject({ __typename: 'RevokeApiKeyPayload' });
    await expectEnd(session, secret);
  });

  test('a secret that is rotated without grace', async () => {
    const { id, secret } = await makeApiKey(pair.server, { kind: 'SERVER', name: 'rotated' });
    const session = await openSession(secret);
    const next = await rotatedSecret(pair.server, { apiKey: id, graceSeconds: 0 });
    await expectEnd(session, secret);
    for (const url of pair.urls) {
      expect((await createClient(url, next).send('{ viewer { kind } }')).body).toEqual({
        data: { viewer: { kind: 'SERVER' } },
      });
    }
  });
});
