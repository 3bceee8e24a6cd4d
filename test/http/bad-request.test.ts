import { once } from 'node:events';
import { Agent, type IncomingMessage, request as sendRequest } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { beforeAll, expect, test } from 'vitest';
import { testKeys, useApp } from '../support/app.ts';
import { countRows, parseAnswer, request } from '../support/request.ts';

const g = useApp();
const authorization = `Bearer ${testKeys.appKey}`;
const register = 'mutation { registerInstallation(input: { platform: WEB }) { __typename } }';

let before: Record<string, number>;
beforeAll(async () => {
  before = await countRows(g.pool);
});

/** That it was refused as the caller's mistake, with this status, and nothing was written. */
async function expectRefusal(init: RequestInit, status: number, path = '') {
  const answer = await request(`${g.url}/graphql${path}`, { ...init, headers: { authorization, ...init.headers } });
  expect(answer).toMatchObject({ status, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  expect(answer.data).toBeUndefined();
  expect(await countRows(g.pool)).toEqual(before);
}

test.each([
  ['nothing', ''],
  ['no JSON', '{"query": "{ __typename }"'],
  ['null', 'null'],
  ['a number', '42'],
  ['a text', '"{ __typename }"'],
  ['an empty list', '[]'],
  ['a batch', `[{ "query": ${JSON.stringify(register)} }]`],
  ['an object without a query', '{}'],
  ['a query that is null', '{ "query": null }'],
  ['a query that is no text', '{ "query": { "a": 1 } }'],
  ['variables that are a list', `{ "query": ${JSON.stringify(register)}, "variables": [] }`],
  ['variables that are a text', `{ "query": ${JSON.stringify(register)}, "variables": "{}" }`],
  ['an operation name that is no text', `{ "query": ${JSON.stringify(register)}, "operationName": 5 }`],
  ['the name of no operation', `{ "query": ${JSON.stringify(register)}, "operationName": "Other" }`],
  ['several operations without a name', '{ "query": "query A { __typename } query B { __typename }" }'],
  ['extensions that are no object', `{ "query": ${JSON.stringify(register)}, "extensions": 1 }`],
  ['an unknown parameter', `{ "query": ${JSON.stringify(register)}, "querry": "" }`],
  ['a parameter __proto__', `{ "query": ${JSON.stringify(register)}, "__proto__": { "admin": true } }`],
])('a body that is %s is refused', async (_, body) => {
  await expectRefusal({ body }, 400);
});

test('a body of more than 1 MiB is refused, whatever is in it', async () => {
  const body = JSON.stringify({ query: register, extensions: { padding: 'x'.repeat(1024 * 1024) } });
  await expectRefusal({ body }, 413);
});

test('a body of more than 1 MiB that comes in chunks, of an unknown length, is refused, and the connection goes on', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const padding = 'x'.repeat(65_536);
  const refused = await sendInChunks(agent, [
    `{ "query": ${JSON.stringify(register)}, "extensions": { "padding": "`,
    ...Array.from({ length: 17 }, () => padding),
    '" } }',
  ]);
  const answered = await sendInChunks(agent, ['{ "query": ', '"{ __typename }" }']);
  agent.destroy();

  expect(refused).toMatchObject({ status: 413, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  expect(answered).toMatchObject({ status: 200, data: { __typename: 'Query' }, isReused: true });
  expect(await countRows(g.pool)).toEqual(before);
});

async function sendInChunks(agent: Agent, chunks: string[]) {
  const headers = { authorization, 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
  const sent = sendRequest(`${g.url}/graphql`, { agent, method: 'POST', headers });
  const answered = new Promise<IncomingMessage>((resolve, reject) => sent.on('response', resolve).on('error', reject));
  await pipeline(Readable.from(chunks), sent);
  const response = await answered;
  return { ...parseAnswer(await text(response)), status: response.statusCode, isReused: sent.reusedSocket };
}

test("a server key's body may have 16 MiB, and no more", async () => {
  const send = (bytes: number) =>
    request(`${g.url}/graphql`, {
      body: JSON.stringify({ query: '{ __typename }', extensions: { padding: 'x'.repeat(bytes) } }),
      headers: { authorization: `Bearer ${testKeys.serverKey}` },
    });
  expect(await send(15 * 1024 * 1024)).toMatchObject({ status: 200, data: { __typename: 'Query' } });
  expect(await send(16 * 1024 * 1024)).toMatchObject({ status: 413 });
});

test('a body of just 1 MiB is taken', async () => {
  const empty = JSON.stringify({ query: '{ __typename }', extensions: { padding: '' } });
  const body = JSON.stringify({
    query: '{ __typename }',
    extensions: { padding: 'x'.repeat(1024 * 1024 - empty.length) },
  });
  expect(Buffer.byteLength(body)).toBe(1024 * 1024);
  expect(await request(`${g.url}/graphql`, { body })).toMatchObject({ status: 200, data: { __typename: 'Query' } });
});

test.each([
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/graphql',
  'application/xml',
  '',
])('a mutation in a body of the type "%s" is refused: a form of any page could send it', async (type) => {
  await expectRefusal({ body: JSON.stringify({ query: register }), headers: { 'content-type': type } }, 415);
});

test.each(['PUT', 'PATCH', 'DELETE'])('%s is refused', async (method) => {
  await expectRefusal({ method, body: JSON.stringify({ query: register }) }, 405);
});

test('a mutation by GET is refused', async () => {
  await expectRefusal({ method: 'GET' }, 405, `?${new URLSearchParams({ query: register })}`);
});

test.each([
  ['no query', ''],
  ['an empty query', '?query='],
  ['variables that are no JSON', '?query={__typename}&variables={'],
  ['variables that are no object', '?query={__typename}&variables=[]'],
  ['a parameter that nobody knows', '?query={__typename}&callback=alert'],
])('a GET with %s is refused', async (_, path) => {
  await expectRefusal({ method: 'GET' }, 400, path);
});

test('a query by GET is answered', async () => {
  const answer = await request(`${g.url}/graphql?query={__typename}`, { method: 'GET' });
  expect(answer).toMatchObject({ status: 200, data: { __typename: 'Query' } });
});

test('a client that accepts no form of answer is refused before its mutation is done', async () => {
  await expectRefusal({ body: JSON.stringify({ query: register }), headers: { accept: 'application/xml' } }, 406);
});

test('a subscription is refused to a client that cannot read a stream', async () => {
  const query = 'subscription { deliveryEvents { __typename } }';
  await expectRefusal({ body: JSON.stringify({ query }), headers: { accept: 'application/json' } }, 406);
});

test.each(['//', '/graphql/', '/nothing', '/%', '/graphql%00'])('the address %s is nowhere', async (path) => {
  expect(await request(`${g.url}${path}`, { method: 'GET' })).toMatchObject({
    status: 404,
    errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
  });
});

test.each([
  ['an unknown key', 'Bearer of-no-key-at-all'],
  ['no key', 'Bearer '],
  ['another scheme', `Basic ${btoa(`user:${testKeys.serverKey}`)}`],
  ['a key and more', `Bearer ${testKeys.serverKey} ${testKeys.appKey}`],
  ['a key without a scheme', testKeys.serverKey],
  ['a token of no installation', 'Bearer car_inst_0000'],
  ['a key of 8,000 characters', `Bearer ${'x'.repeat(8_000)}`],
])('an authorization of %s is refused as a whole', async (_, wrong) => {
  const answer = await request(`${g.url}/graphql`, {
    body: JSON.stringify({ query: '{ __typename }' }),
    headers: { authorization: wrong },
  });
  expect(answer).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
});

test.each(['a b', '[', 'x:y', 'x:99999'])('a request to the host "%s" is refused', async (host) => {
  const sent = sendRequest(`${g.url}/graphql?query={__typename}`, { headers: { host }, setHost: false }).end();
  const [response] = await once(sent, 'response');
  expect(response.statusCode).toBe(400);
  expect(parseAnswer(await text(response)).errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
});
