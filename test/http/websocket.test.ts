import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { startApp } from '../../src/app.ts';
import { hashSecret } from '../../src/apps/api-key.ts';
import { testConfig, testKeys, useApp } from '../support/app.ts';
import { createTestDatabase } from '../support/database.ts';
import { countRows } from '../support/request.ts';
import { connectSocket, openSocket, type Socket } from '../support/socket.ts';

const g = useApp();
const register = 'mutation ($input: RegisterInstallationInput!) { registerInstallation(input: $input) { __typename } }';

let sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.close();
  sockets = [];
});

let before: Record<string, number>;
beforeAll(async () => {
  before = await countRows(g.pool);
});

async function open(protocol?: string[]) {
  const socket = await openSocket(g.url, protocol);
  sockets.push(socket);
  return socket;
}

async function connect(secret: string = testKeys.serverKey) {
  const socket = await connectSocket(g.url, secret);
  sockets.push(socket);
  return socket;
}

test('a wrong key is refused with 4403', async () => {
  const socket = await open();
  socket.send({ type: 'connection_init', payload: { authorization: 'Bearer of-no-key-at-all' } });
  expect((await socket.closed).code).toBe(4403);
});

test('an authorization that is no text is refused with 4403', async () => {
  const socket = await open();
  socket.send({ type: 'connection_init', payload: { authorization: { $ne: null } } });
  expect((await socket.closed).code).toBe(4403);
});

test('a client that does not say who it is within 3 seconds is closed with 4408', async () => {
  const began = performance.now();
  const socket = await open();
  expect((await socket.closed).code).toBe(4408);
  expect(performance.now() - began).toBeGreaterThan(2_900);
  expect(performance.now() - began).toBeLessThan(5_000);
});

test('a client that says twice who it is, is closed with 4429', async () => {
  const socket = await connect();
  socket.send({ type: 'connection_init' });
  expect((await socket.closed).code).toBe(4429);
});

test('an operation before connection_init is refused with 4401', async () => {
  const socket = await open();
  socket.send({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } });
  expect((await socket.closed).code).toBe(4401);
});

test('a second operation of one id is refused with 4409', async () => {
  const socket = await connect();
  const subscribe = {
    id: '1',
    type: 'subscribe',
    payload: { query: 'subscription { deliveryEvents { __typename } }' },
  };
  socket.send(subscribe);
  socket.send(subscribe);
  expect((await socket.closed).code).toBe(4409);
});

test.each([
  ['no JSON', '{'],
  ['JSON that is no object', '[]'],
  ['a message of an unknown type', '{ "type": "start" }'],
  ['an operation without an id', '{ "type": "subscribe", "payload": { "query": "{ __typename }" } }'],
  ['an operation without a query', '{ "id": "1", "type": "subscribe", "payload": {} }'],
  [
    'variables that are no object',
    '{ "id": "1", "type": "subscribe", "payload": { "query": "{ __typename }", "variables": 1 } }',
  ],
])('%s is refused with 4400', async (_, message) => {
  const socket = await connect();
  socket.send(message);
  expect((await socket.closed).code).toBe(4400);
});

test('a message of more than 1 MiB is refused with 1009', async () => {
  const socket = await connect();
  socket.send({ id: '1', type: 'subscribe', payload: { query: `# ${'x'.repeat(1024 * 1024)}` } });
  expect((await socket.closed).code).toBe(1009);
});

test('a socket of no protocol is refused with 4406', async () => {
  const socket = await open([]);
  expect((await socket.closed).code).toBe(4406);
});

test.each([
  ['malformed', { query: '{ users(' }],
  ['asking for an unknown field', { query: '{ nothing }' }],
  ['20,000 braces', { query: `${'{ a'.repeat(20_000)}${' }'.repeat(20_000)}` }, 'OPERATION_TOO_COSTLY'],
  ['of 90,000 tokens', { query: `{ ${'__typename '.repeat(90_000)} }` }, 'OPERATION_TOO_COSTLY'],
  ['holding a NUL', { query: '{ node(id: "\0") { id } }' }],
  ['of an unknown name', { query: register, operationName: 'Other' }],
  ['without its variables', { query: register }],
  ['with a wrong type', { query: register, variables: { input: { platform: 'TOASTER' } } }],
  ['with a NUL in a variable', { query: register, variables: { input: { platform: 'WEB', appVersion: '\0' } } }],
  ['a subscription with a bad cursor', { query: 'subscription { deliveryEvents(after: "garbage") { __typename } }' }],
  ['a subscription to nothing', { query: 'subscription { nothing }' }],
])('an operation that is %s gets a typed error, writes nothing, and the socket goes on', async (_, payload, code = 'BAD_USER_INPUT') => {
  const socket = await connect();
  socket.send({ id: '1', type: 'subscribe', payload });
  const refusal = await socket.next();
  const errors = refusal.type === 'error' ? refusal.payload : Reflect.get(Object(refusal.payload), 'errors');
  expect(errors).toMatchObject([{ message: expect.any(String), extensions: { code } }]);
  expect(JSON.stringify(errors)).not.toMatch(/"http"|stack|node_modules/);
  expect(await countRows(g.pool)).toEqual(before);

  socket.send({ id: '2', type: 'subscribe', payload: { query: '{ __typename }' } });
  const messages = [await socket.next(), await socket.next()];
  expect(messages).toContainEqual(
    expect.objectContaining({
      id: '2',
      type: 'next',
      payload: expect.objectContaining({ data: { __typename: 'Query' } }),
    }),
  );
});

test('who may not do it is told so, over WebSocket as over HTTP', async () => {
  const socket = await connect(testKeys.appKey);
  socket.send({ id: '1', type: 'subscribe', payload: { query: '{ users { totalCount } }' } });
  expect(await socket.next()).toMatchObject({ payload: { errors: [{ extensions: { code: 'FORBIDDEN' } }] } });
});

test('a key that was revoked elsewhere begins no further operation on an open socket within a second', async () => {
  const secret = 'server-key-to-be-revoked';
  await g.pool.query(
    `insert into api_keys (id, kind, name, secret_hash) values (gen_random_uuid(), 'SERVER', 'revoked', $1)`,
    [Buffer.from(hashSecret(secret))],
  );
  const socket = await connect(secret);
  await g.pool.query(`update api_keys set revoked_at = now() where name = 'revoked'`);
  const refusal = await vi.waitFor(async () => {
    socket.send({ id: '1', type: 'subscribe', payload: { query: '{ users { totalCount } }' } });
    const answer = await socket.next();
    if (answer.type === 'next') await socket.next();
    expect(answer.type).toBe('error');
    return answer;
  });
  await g.pool.query(`delete from api_keys where name = 'revoked'`);
  expect(refusal).toMatchObject({ payload: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
});

test('a stop of the server closes with 1001, so that clients come back', async () => {
  const database = await createTestDatabase();
  const app = await startApp(testConfig(database.url));
  const socket = await connectSocket(app.url ?? '', testKeys.serverKey);
  socket.send({ id: '1', type: 'subscribe', payload: { query: 'subscription { deliveryEvents { __typename } }' } });
  expect(await socket.next()).toMatchObject({ type: 'next' });
  await app.stop();
  expect((await socket.closed).code).toBe(1001);
  await database.drop();
});
