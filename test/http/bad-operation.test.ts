import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import { fcmAddress } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { makeInstallation, makeNotification, personalize } from '../support/operations.ts';
import { countRows, request } from '../support/request.ts';

const g = useApp();

let installation: string;
let before: Record<string, number>;
beforeAll(async () => {
  ({ pushRegistrationId: installation } = await makeInstallation(g.app, { address: fcmAddress() }));
  before = await countRows(g.pool);
});

async function expectRefusal(query: string, variables: Record<string, unknown> = {}) {
  const { body } = await g.server.send(query, variables);
  expect(body.errors?.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  expect(await countRows(g.pool)).toEqual(before);
  return body.errors?.[0]?.message;
}

const nested = (levels: number, open: string, close: string) => open.repeat(levels) + close.repeat(levels);
const toGlobalId = (text: string) => Buffer.from(text).toString('base64');

const register = 'mutation ($input: RegisterInstallationInput!) { registerInstallation(input: $input) { __typename } }';
const send = 'mutation ($input: SendNotificationInput!) { sendNotification(input: $input) { __typename } }';

test.each([
  ['empty', ''],
  ['cut off', '{ users('],
  ['in no language', 'select * from users'],
  ['asking for an unknown field', '{ nothing }'],
  ['asking for an unknown field in a fragment', '{ ...F } fragment F on Query { nothing }'],
  ['a cycle of fragments', '{ ...F } fragment F on Query { ...F }'],
  ['calling with an unknown argument', '{ users(size: 3) { nodes { id } } }'],
  ['calling with a wrong type', '{ users(first: "3") { nodes { id } } }'],
  ['calling with a number that is no Int', '{ users(first: 2147483648) { nodes { id } } }'],
  ['a NUL', '{ node(id: "\0") { id } }'],
  ['a NUL, escaped', String.raw`{ node(id: "\u0000") { id } }`],
  ['a NUL, escaped in braces', String.raw`{ node(id: "\u{0}") { id } }`],
  ['half of a surrogate pair', String.raw`{ node(id: "\ud800") { id } }`],
])('a document that is %s is refused', async (_, query) => {
  expect(await expectRefusal(query)).not.toMatch(/stack|internal|src\/|node_modules/i);
});

test.each([
  ['20,000 open braces', '{'.repeat(20_000)],
  ['20,000 braces', nested(20_000, '{ a', ' }')],
  ['20,000 brackets', `{ node(id: ${nested(20_000, '[', ']')}) { id } }`],
  [
    'nested 400 levels deep',
    `{ users { nodes { id ${nested(400, 'installations { nodes { user { id ', '} } }')} } } }`,
  ],
  ['200,000 tokens', `{ ${'__typename '.repeat(200_000)} }`],
])('a document that is %s is refused as too costly', async (_, query) => {
  const { body } = await g.server.send(query);
  expect(body.errors).toMatchObject([{ extensions: { code: 'OPERATION_TOO_COSTLY' } }]);
  expect(await countRows(g.pool)).toEqual(before);
});

test.each([
  ['absent', register, {}],
  ['null', register, { input: null }],
  ['of a wrong type', register, { input: 'WEB' }],
  ['a list', register, { input: [[{ platform: 'WEB' }]] }],
  ['without a required field', register, { input: {} }],
  ['with an unknown field', register, { input: { platform: 'WEB', colour: 'red' } }],
  ['with an unknown value of an enum', register, { input: { platform: 'TOASTER' } }],
  [
    'with two addresses where one goes',
    register,
    { input: { platform: 'IOS', address: { fcm: { token: 'a' }, apns: { token: 'b' } } } },
  ],
  ['with no address where one goes', register, { input: { platform: 'IOS', address: {} } }],
  ['with a NUL', register, { input: { platform: 'WEB', appVersion: 'a\0b' } }],
  ['with half of a surrogate pair', register, { input: { platform: 'WEB', appVersion: 'a\ud800b' } }],
  ['with a NUL in a key', send, { input: { content: { body: 'a', data: { 'a\0b': 1 } }, target: { users: [] } } }],
  ['with JSON that is a list', send, { input: { content: { body: 'a', data: [] }, target: { users: [] } } }],
])('variables that are %s are refused', async (_, query, variables) => {
  await expectRefusal(query, variables);
});

test('variables that are nested 100,000 levels deep are refused', async () => {
  const data = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
  const body = `{ "query": "${send}", "variables": { "input": { "target": {}, "content": { "body": "a", "data": ${data} } } } }`;
  const answer = await request(`${g.url}/graphql`, { body });
  expect(answer.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
});

test.each([
  'first: 0',
  'first: 101',
  'first: -1',
  'last: 0',
  'last: 101',
  'first: 1, last: 1',
  'after: "!"',
  'after: ""',
  'before: "MQ"',
])('a page of (%s) is refused', async (page) => {
  await expectRefusal(`{ users(${page}) { nodes { id } } }`);
});

test.each([
  ['garbage', 'garbage'],
  ['empty', ''],
  ['without an id', toGlobalId('User:')],
  ['of no UUID', toGlobalId('User:1 or 1=1')],
  ['with a NUL', toGlobalId('User:\0')],
  ['of a type without ids', toGlobalId(`PageInfo:${randomUUID()}`)],
  ['of a type that is none', toGlobalId(`__proto__:${randomUUID()}`)],
  ['of three parts', toGlobalId(`User:${randomUUID()}:1`)],
])('a node by an id that is %s is refused', async (_, id) => {
  await expectRefusal('query ($id: ID!) { node(id: $id) { id } }', { id });
});

test('a node that does not exist is null', async () => {
  const ids = [toGlobalId(`User:${randomUUID()}`), toGlobalId(`Delivery:${installation}`)];
  const { body } = await g.server.send('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids });
  expect(body).toMatchObject({ data: { nodes: [null, null] } });
  expect(body.errors).toBeUndefined();
});

test('more nodes at once than a page has are refused', async () => {
  const ids = Array.from({ length: 101 }, () => toGlobalId(`User:${randomUUID()}`));
  await expectRefusal('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids });
});

test('an id of another type is as unknown as one of nothing', async () => {
  const refused = await personalize(g.server, {
    installation: toGlobalId(`User:${installation}`),
    userIdentity: { emails: ['a@example.com'] },
  });
  expect(refused).toMatchObject({ code: 'NO_REGISTRATION', path: ['installation'] });
  expect(await countRows(g.pool)).toEqual(before);
});

test.each([
  ['an unknown installation', randomUUID(), {}, { code: 'NO_REGISTRATION', path: ['installation'] }],
  ['an installation that is no UUID', "' or 1=1", {}, { code: 'NO_REGISTRATION', path: ['installation'] }],
  [
    'a bad e-mail address',
    null,
    { emails: ['ann@example.com', 'ann@'] },
    { code: 'EMAIL_INVALID', path: ['userIdentity', 'emails', '1'] },
  ],
  [
    'a bad phone number',
    null,
    { phones: ['+38516419710', '+3851x'] },
    { code: 'PHONE_INVALID', path: ['userIdentity', 'phones', '1'] },
  ],
])('personalize with %s names the field, and writes nothing', async (_, unknown, userIdentity, refusal) => {
  const input = { installation: unknown ?? installation, userIdentity: { externalUserId: 'ann', ...userIdentity } };
  expect(await personalize(g.server, input)).toMatchObject(refusal);
  expect(await countRows(g.pool)).toEqual(before);
});

const Content = graphql(`
  query ContentAsWritten($id: ID!) {
    notification(id: $id) { content { data } }
  }
`);

test('a moment before the year 1 is refused, as PostgreSQL has none', async () => {
  const report =
    'mutation ($at: DateTime!) { reportDelivery(input: { delivery: "x", status: OPENED, at: $at }) { __typename } }';
  for (const at of ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+23:59']) await expectRefusal(report, { at });
});

test('a refusal in a query names the field that was refused, and the input that it is about', async () => {
  const { body } = await g.server.send('{ a: user(ref: { email: "bad" }) { id } b: user(ref: { phone: "x" }) { id } }');
  expect(body.errors).toMatchObject([
    { path: ['a'], extensions: { code: 'BAD_USER_INPUT', reason: 'EMAIL_INVALID', inputPath: ['ref', 'email'] } },
    { path: ['b'], extensions: { code: 'BAD_USER_INPUT', reason: 'PHONE_INVALID', inputPath: ['ref', 'phone'] } },
  ]);
});

test('data with __proto__ is kept as it came, and changes no object', async () => {
  const data: Record<string, unknown> = JSON.parse(
    '{ "__proto__": { "admin": true }, "constructor": { "prototype": { "admin": true } } }',
  );
  const id = await makeNotification(g.server, {
    content: { body: 'a', data },
    target: { installations: [installation] },
  });
  const { notification } = await g.server.run(Content, { id });

  expect(JSON.stringify(notification?.content.data)).toBe(
    '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}',
  );
  expect(Reflect.get({}, 'admin')).toBeUndefined();
});
