import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { testKeys, useApp } from '../support/app.ts';
import { makeApp } from '../support/make-app.ts';
import { makeInstallation } from '../support/operations.ts';
import { type Answer, request } from '../support/request.ts';
import { connectSocket } from '../support/socket.ts';
import { subscribeBySse } from '../support/subscribers.ts';

// The tests' own machine stands for a proxy: each test comes from networks of its own.
const g = useApp({ trustedProxies: ['127.0.0.1'] });

/** Costs 900 points, of which nothing is given back. */
const query = `{ ${Array.from({ length: 9 }, (_, index) => `s${index}: __schema { __typename }`).join(' ')} }`;
/** Costs 500, as much as nobody may ask at once. */
const cheaper = query.replace(/s[5-8]: __schema { __typename }/g, '');

let networks = 0;
/** An address of a network that no other test has come from. */
function newAddress(): string {
  networks += 1;
  return `198.51.${networks}.9`;
}

interface Visit {
  secret: string | null;
  address: string;
  query?: string;
}

const ask = ({ secret, address, ...body }: Visit) =>
  request(`${g.url}/graphql`, {
    body: JSON.stringify({ query, ...body }),
    headers: { 'x-forwarded-for': address, ...(secret !== null && { authorization: `Bearer ${secret}` }) },
  });

/** Asks until it is refused, and answers the refusal. */
async function exhaust(visit: Visit): Promise<Answer> {
  for (;;) {
    const answer = await ask(visit);
    if (answer.errors) return answer;
  }
}

/** What is told of the bucket. */
function throttleOf({ limit }: { limit: number }) {
  return { limit, remaining: expect.any(Number), resetAt: expect.stringMatching(/^\d{4}-.*Z$/) };
}

/** That everybody has asked. */
beforeAll(() => ask({ secret: null, address: newAddress(), query: '{ __typename }' }));

test('an answer tells what it was taken to cost, what it has cost, and what is left of the bucket', async () => {
  const [address, before] = [newAddress(), Date.now()];
  const send = async (text: string) => {
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': address };
    const authorization = `Bearer ${testKeys.appKey}`;
    const init = { method: 'POST', headers: { ...headers, authorization }, body: JSON.stringify({ query: text }) };
    return JSON.parse(await (await fetch(`${g.url}/graphql`, init)).text()).extensions.cost;
  };
  const first = await send(query);
  expect(first).toEqual({ requested: 900, actual: 900, throttle: throttleOf({ limit: 50_000 }) });
  // A point for reading the text, which nobody had asked before; and what has drained since.
  expect(first.throttle.remaining).toBeGreaterThanOrEqual(50_000 - 1 - 900);
  expect(first.throttle.remaining).toBeLessThan(49_500);
  // 900 points at 500 a second.
  expect(Date.parse(first.throttle.resetAt) - before).toBeGreaterThanOrEqual(1_790);
  const second = await send('{ nodes(ids: ["a", "b", "c"]) { id } }');
  expect(second).toMatchObject({ requested: 3, actual: 3 });
  expect(second.throttle.remaining).toBeGreaterThanOrEqual(50_000 - 2 - 900 - 3);
});

test('over HTTP, who asks for too much is told 429, when to come back, and what it would cost; then it is answered again', async () => {
  const visit = { secret: testKeys.appKey, address: newAddress() };
  const refused = await exhaust(visit);
  expect(refused).toMatchObject({
    status: 429,
    errors: [
      {
        extensions: {
          code: 'THROTTLED',
          retryAfterMs: expect.any(Number),
          cost: { requested: 900, actual: 0, throttle: throttleOf({ limit: 50_000 }) },
        },
      },
    ],
  });
  expect(refused.data).toBeUndefined();
  const [{ extensions } = { extensions: {} }] = refused.errors ?? [];
  const { retryAfterMs } = Object(extensions);
  expect(retryAfterMs).toBeGreaterThan(0);
  expect(retryAfterMs).toBeLessThanOrEqual(4_500);
  expect(refused.headers.get('retry-after')).toBe(String(Math.ceil(retryAfterMs / 1_000)));
  // Nothing was taken for what was refused: something smaller goes in at once.
  expect((await ask({ ...visit, query: '{ viewer { kind } }' })).errors).toBeUndefined();
});

test('over WebSocket and SSE it is told the same, and the socket goes on', async () => {
  // Without X-Forwarded-For the proxy itself is who asks.
  const secret = (await makeApp(g)).secret;
  await exhaust({ secret, address: '127.0.0.1' });
  const told = [
    {
      extensions: {
        code: 'THROTTLED',
        retryAfterMs: expect.any(Number),
        cost: { requested: 900, actual: 0, throttle: throttleOf({ limit: 50_000 }) },
      },
    },
  ];
  const socket = await connectSocket(g.url, secret);
  socket.send({ id: '1', type: 'subscribe', payload: { query } });
  const refusal = await socket.next();
  expect(refusal).toMatchObject({ id: '1', type: 'error', payload: told });
  expect(JSON.stringify(refusal)).not.toContain('"http"');
  socket.send({ id: '2', type: 'subscribe', payload: { query: '{ __typename }' } });
  expect(await socket.next()).toMatchObject({ id: '2', type: 'next' });
  socket.close();

  const headers = { accept: 'text/event-stream', authorization: `Bearer ${secret}` };
  const bySse = await request(`${g.url}/graphql`, { body: JSON.stringify({ query }), headers });
  expect(bySse).toMatchObject({ status: 429, errors: told });
  expect(bySse.headers.get('retry-after')).toMatch(/^\d+$/);
});

test('one network that misuses an app’s key shuts out no other network, no installation, no other key and no server', async () => {
  const [misuser, neighbour] = [newAddress(), newAddress()];
  const { secret } = await makeApp(g);
  const { token } = await makeInstallation(g.app.as(secret));
  const other = await makeApp(g);
  expect((await exhaust({ secret, address: misuser })).status).toBe(429);

  expect((await ask({ secret, address: misuser.replace(/9$/, '250') })).status).toBe(429);
  for (const visit of [
    { secret, address: neighbour },
    { secret, address: '2001:db8::1' },
    { secret: token, address: misuser },
    { secret: other.secret, address: misuser },
    { secret: testKeys.serverKey, address: misuser },
    { secret: null, address: misuser, query: cheaper },
  ]) {
    expect((await ask(visit)).status).toBe(200);
  }
});

test('nobody has a small bucket for each network', async () => {
  const visit = { secret: null, address: newAddress(), query: cheaper };
  expect(await exhaust(visit)).toMatchObject({
    status: 429,
    errors: [{ extensions: { cost: { requested: 500, throttle: throttleOf({ limit: 10_000 }) } } }],
  });
  expect((await ask({ ...visit, address: newAddress() })).status).toBe(200);
});

test('an installation’s bucket goes with it, through whatever network and by whatever token', async () => {
  const { token } = await makeInstallation(g.app);
  expect((await exhaust({ secret: token, address: newAddress() })).status).toBe(429);
  expect((await ask({ secret: token, address: newAddress() })).status).toBe(429);
  const other = await makeInstallation(g.app);
  expect((await ask({ secret: other.token, address: newAddress() })).status).toBe(200);
});

test('addresses that a client makes up, before the one that the proxy has seen, make no difference', async () => {
  const [address, { secret }] = [newAddress(), await makeApp(g)];
  const madeUp = () => `203.0.${Math.floor(Math.random() * 256)}.1, ${randomUUID()}, ${address}`;
  const statuses = [];
  for (let count = 0; count < 70; count += 1) statuses.push((await ask({ secret, address: madeUp() })).status);
  expect(statuses).toContain(429);
});

test('reading what is wrong is paid for too: who goes on with it is not even read any more', async () => {
  const visit = { secret: null, address: newAddress() };
  const mistakes = `{ ${Array.from({ length: 400 }, (_, index) => `field${index}${'x'.repeat(60)}`).join(' ')} }`;
  const answers: Answer[] = [];
  // 50 points each, of 2,000, and of 50 more each second.
  while (answers.at(-1)?.status !== 429) {
    answers.push(await ask({ ...visit, query: `${mistakes} # ${answers.length}` }));
  }
  expect(answers.length).toBeGreaterThan(40);
  expect(answers[0]).toMatchObject({ status: 200, errors: expect.arrayContaining([expect.objectContaining({})]) });
  expect(answers.at(-1)).toMatchObject({ errors: [{ extensions: { code: 'THROTTLED', cost: { requested: 50 } } }] });
  // What is known need not be read.
  expect(await ask({ ...visit, query: '{ __typename }' })).toMatchObject({ data: { __typename: 'Query' } });
});

test('what costs more than a caller may ask at once is refused, and takes nothing', async () => {
  const visit = { secret: null, address: newAddress() };
  expect(await ask(visit)).toMatchObject({
    status: 200,
    errors: [{ extensions: { code: 'OPERATION_TOO_COSTLY', cost: { requested: 900, limit: 500 } } }],
  });
  const subscriber = await subscribeBySse(g.url, { query, secret: null });
  expect(await subscriber.next()).toMatchObject({ errors: [{ extensions: { code: 'OPERATION_TOO_COSTLY' } }] });
  subscriber.close();
  for (let count = 0; count < 4; count += 1) {
    expect((await ask({ ...visit, query: cheaper })).status).toBe(200);
  }
});
