import { beforeAll, expect, test } from 'vitest';
import { testKeys, useApp } from '../support/app.ts';
import { makeApp } from '../support/make-app.ts';

const g = useApp();
const shop = 'https://shop.example';
const query = '{ __typename }';

let app: Awaited<ReturnType<typeof makeApp>>;
let other: Awaited<ReturnType<typeof makeApp>>;
beforeAll(async () => {
  app = await makeApp(g, [shop]);
  other = await makeApp(g, ['https://other.example']);
});

/** What a browser goes by. */
function corsOf({ status, headers }: Response) {
  return {
    status,
    origin: headers.get('access-control-allow-origin'),
    credentials: headers.get('access-control-allow-credentials'),
    vary: headers.get('vary')?.toLowerCase(),
  };
}

async function send(path: string, init: RequestInit) {
  const response = await fetch(`${g.url}${path}`, init);
  await response.text();
  return response;
}

const byGet = `/graphql?${new URLSearchParams({ query })}`;

/** Requests of a page, without its origin. */
const requests = (secret: string): [string, string, RequestInit & { headers: Record<string, string> }][] => {
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ query });
  return [
    ['POST', '/graphql', { method: 'POST', headers, body }],
    ['GET', byGet, { headers: { ...headers, accept: 'application/json' } }],
    ['SSE', '/graphql', { method: 'POST', headers: { ...headers, accept: 'text/event-stream' }, body }],
    ['EventSource', byGet, { headers: { ...headers, accept: 'text/event-stream' } }],
    ['multipart/mixed', '/graphql', { method: 'POST', headers: { ...headers, accept: 'multipart/mixed' }, body }],
    ['a mistake', '/graphql', { method: 'POST', headers, body: '{' }],
    ['a wrong key', '/graphql', { method: 'POST', headers: { ...headers, authorization: 'Bearer none' }, body }],
    ['a method that is none', '/graphql', { method: 'PUT', headers, body }],
  ];
};

test('a page of an allowed origin may read every answer, and only it, without credentials', async () => {
  for (const [name, path, init] of requests(app.secret)) {
    const response = await send(path, { ...init, headers: { ...init.headers, origin: shop } });
    expect({ name, ...corsOf(response) }).toMatchObject({ name, origin: shop, credentials: null });
    expect(corsOf(response).vary).toContain('origin');
  }
});

test('a page of an unknown origin may read none: 403, and no access-control-allow-origin', async () => {
  for (const [name, path, init] of requests(app.secret)) {
    for (const origin of ['https://evil.example', 'null', `${shop}.evil.example`]) {
      const response = await send(path, { ...init, headers: { ...init.headers, origin } });
      expect({ name, ...corsOf(response) }).toMatchObject({ name, status: 403, origin: null, credentials: null });
      expect(corsOf(response).vary).toContain('origin');
    }
  }
});

test('a page of an app’s origin reads why another app’s key is refused, and no more', async () => {
  const [[, path, init] = ['', '', {}]] = requests(other.secret);
  const response = await fetch(`${g.url}${path}`, { ...init, headers: { ...init.headers, origin: shop } });
  expect(corsOf(response)).toMatchObject({ status: 403, origin: shop });
  expect(await response.json()).toEqual({
    errors: [{ message: expect.stringContaining('origin'), extensions: { code: 'FORBIDDEN' } }],
  });
});

test('an answer to no page allows nobody’s, and says that it depends on the origin', async () => {
  for (const [, path, init] of requests(app.secret)) {
    const { vary, ...cors } = corsOf(await send(path, init));
    expect(cors).toMatchObject({ origin: null, credentials: null });
    expect(vary).toContain('origin');
  }
});

const preflight = (origin: string, method = 'POST', asked = 'authorization,content-type') =>
  fetch(`${g.url}/graphql`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': asked },
  });

test('a preflight of an allowed origin, and of the gateway’s own, allows what an operation needs and nothing else', async () => {
  for (const origin of [shop, g.url]) {
    for (const asked of ['authorization,content-type', 'x-http-method-override, cookie']) {
      const response = await preflight(origin, 'DELETE', asked);
      expect(corsOf(response)).toEqual({ status: 204, origin, credentials: null, vary: 'origin' });
      expect(response.headers.get('access-control-allow-methods')).toBe('GET, POST');
      expect(response.headers.get('access-control-allow-headers')).toBe('authorization, content-type');
      expect(await response.text()).toBe('');
    }
  }
});

test.each([
  'https://evil.example',
  'null',
  `${shop}/`,
  'http://shop.example',
  'https://SHOP.example',
  '*',
])('a preflight of the origin "%s" is refused', async (origin) => {
  const response = await preflight(origin);
  expect(corsOf(response)).toEqual({ status: 403, origin: null, credentials: null, vary: 'origin' });
  expect(response.headers.get('access-control-allow-headers')).toBeNull();
  await response.text();
});

test('a page reads when to come back', async () => {
  const response = await send('/graphql', {
    method: 'POST',
    headers: { origin: g.url, 'content-type': 'application/json', authorization: `Bearer ${testKeys.appKey}` },
    body: JSON.stringify({ query }),
  });
  expect(response.headers.get('access-control-expose-headers')).toBe('retry-after');
});

test('probes and the landing page are read by no page', async () => {
  for (const path of ['/', '/health', '/ready', '/nothing']) {
    expect(corsOf(await send(path, { headers: { origin: shop } })).origin).toBeNull();
  }
});

/** What a form or an image of any page can send without being asked first. */
const register = 'mutation { registerInstallation(input: { platform: WEB }) { __typename } }';

test.each([
  'text/plain',
  'text/plain;charset=application/json',
  'text/plain; application/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json, text/plain',
  'text/plain, application/json',
  'application/jsonp',
  'application/json5',
  'application/graphql',
  '',
])('a body of the type "%s" is refused, also with a query, and also if the address has one', async (type) => {
  for (const operation of [query, register]) {
    const form = new URLSearchParams({ query: operation }).toString();
    for (const body of [JSON.stringify({ query: operation }), form]) {
      for (const path of ['/graphql', `/graphql?${form}`]) {
        const headers = { 'content-type': type, authorization: `Bearer ${testKeys.appKey}` };
        const response = await fetch(`${g.url}${path}`, { method: 'POST', headers, body });
        expect(response.status).toBe(415);
        expect(await response.text()).toContain('BAD_USER_INPUT');
      }
    }
  }
});

test('a mutation by GET is refused, whatever stands in its body, address or headers', async () => {
  const count = async () => (await g.pool.query('select count(*)::int as count from installations')).rows[0];
  const before = await count();
  const authorization = `Bearer ${testKeys.appKey}`;
  const overrides = ['x-http-method-override', 'x-http-method', 'x-method-override'];
  for (const header of overrides) {
    for (const accept of ['application/json', 'text/event-stream', 'text/html', 'multipart/mixed', '*/*']) {
      const parameters = { query: register };
      const address = `/graphql?${new URLSearchParams(parameters)}`;
      const response = await send(address, { headers: { authorization, accept, [header]: 'POST' } });
      expect([accept, response.status]).toEqual([accept, accept === 'text/html' ? 200 : 405]);
    }
  }
  const several = new URLSearchParams([
    ['query', query],
    ['query', register],
  ]);
  expect((await send(`/graphql?${several}`, { headers: { authorization, accept: 'application/json' } })).status).toBe(
    405,
  );
  const both = `query A { __typename } ${register.replace('mutation', 'mutation B')}`;
  const named = new URLSearchParams({ query: both, operationName: 'B' });
  expect((await send(`/graphql?${named}`, { headers: { authorization, accept: 'application/json' } })).status).toBe(
    405,
  );
  expect(await count()).toEqual(before);
});
