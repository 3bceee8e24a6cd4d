import { getIntrospectionQuery } from 'graphql';
import { beforeAll, describe, expect, test } from 'vitest';
import { testKeys, useApp } from '../support/app.ts';
import { makeApiKey } from '../support/keys.ts';
import { makeApp, registerOperation } from '../support/make-app.ts';
import { makeInstallation } from '../support/operations.ts';
import { parseAnswer, request } from '../support/request.ts';
import { type Subscription, subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';

const g = useApp({ environment: 'production' });

/** Everybody but a server key. */
const callers = ['nobody', 'app', 'installation', 'dashboard', 'another app'] as const;
const secrets: Record<string, string | null> = { nobody: null, app: testKeys.appKey };
beforeAll(async () => {
  secrets.installation = (await makeInstallation(g.app)).token;
  secrets.dashboard = (await makeApiKey(g.server, { kind: 'DASHBOARD', name: 'dashboard' })).secret;
  secrets['another app'] = (await makeApp(g)).secret;
});

type Answer = ReturnType<typeof parseAnswer>;

async function first(subscribe: typeof subscribeBySse, subscription: Subscription): Promise<Answer | null> {
  const subscriber = await subscribe(g.url, subscription);
  const answer = await subscriber.next();
  subscriber.close();
  return answer;
}

/** Every way in which a query can be asked. */
const transports: Readonly<Record<string, (subscription: Subscription) => Promise<Answer | null>>> = {
  POST: ({ secret, ...body }) =>
    request(`${g.url}/graphql`, { body: JSON.stringify(body), headers: authorize(secret) }),
  GET: ({ secret, query }) => {
    const address = `${g.url}/graphql?${new URLSearchParams({ query })}`;
    return request(address, { method: 'GET', headers: authorize(secret) });
  },
  WebSocket: (subscription) => first(subscribeByWebSocket, subscription),
  SSE: (subscription) => first(subscribeBySse, subscription),
  'multipart/mixed': async ({ secret, ...body }) => {
    const headers = { ...authorize(secret), 'content-type': 'application/json', accept: 'multipart/mixed' };
    const response = await fetch(`${g.url}/graphql`, { method: 'POST', headers, body: JSON.stringify(body) });
    const [json = '{}'] = /\{.*\}/s.exec(await response.text()) ?? [];
    const { hasNext: _, ...answer } = JSON.parse(json);
    return parseAnswer(JSON.stringify(answer));
  },
};

const authorize = (secret: string | null): Record<string, string> =>
  secret === null ? {} : { authorization: `Bearer ${secret}` };

const introspections = [
  getIntrospectionQuery(),
  '{ __schema { __typename } }',
  '{ __type(name: "User") { name } }',
  '{ a: __schema { types { name } } }',
  '{ ... { __schema { __typename } } }',
  '{ ... on Query { __type(name: "User") { name } } }',
  '{ ...F } fragment F on Query { b: __schema { queryType { name } } }',
  '{ ...F } fragment F on Query { ...G } fragment G on Query { ... on Query { __type(name: "User") { fields { name } } } }',
  '{ __schema @include(if: true) { __typename } }',
  'query A { __typename } query B { __schema { __typename } }',
];

describe.each(Object.entries(transports))('in production, by %s,', (_, ask) => {
  test('nobody but a server key is told anything of the schema', async () => {
    for (const name of callers) {
      for (const query of introspections) {
        const answer = await ask({ query, secret: secrets[name] ?? null });
        expect(answer?.data).toBeUndefined();
        expect(new Set(answer?.errors?.map(({ extensions }) => extensions.code))).toEqual(new Set(['BAD_USER_INPUT']));
        expect(answer?.errors?.[0]?.message).toContain('introspection has been disabled');
      }
    }
  });

  test('a server key is told', async () => {
    for (const query of introspections.slice(0, -1)) {
      const answer = await ask({ query, secret: testKeys.serverKey });
      expect(answer?.errors).toBeUndefined();
      expect(answer?.data).toMatchObject({});
    }
  });

  test('every object still tells its own type', async () => {
    expect((await ask({ query: '{ __typename }', secret: null }))?.data).toEqual({ __typename: 'Query' });
  });
});

test('in production a partner is told nothing of the schema, not even by an operation that was registered by mistake', async () => {
  const partner = 'partner';
  const { secret } = await makeApiKey(g.server, { kind: 'PARTNER', name: 'partner', partner });
  const documentId = await registerOperation(g, { partner, document: '{ __schema { __typename } }' });
  const body = JSON.stringify({ documentId });
  const answer = await request(`${g.url}/graphql`, { body, headers: authorize(secret) });
  expect(answer.data).toBeUndefined();
  expect(answer.errors).toMatchObject([{ message: expect.stringContaining('introspection has been disabled') }]);
});

test('in production a text that a server key has introspected with tells the next caller nothing', async () => {
  const introspection = getIntrospectionQuery();
  for (const client of [g.app, g.nobody, g.app]) {
    expect((await g.server.send(introspection)).body.errors).toBeUndefined();
    expect((await client.send(introspection)).body.data).toBeUndefined();
  }
});

const register = 'mutation ($input: RegisterInstallationInput!) { registerInstallation(input: $input) { __typename } }';

describe('in production only a server key is told what may have been meant by', () => {
  test.each<[string, string, Record<string, unknown>?]>([
    ['a field', '{ userss { totalCount } }'],
    ['a field of a type', '{ viewer { kinds } }'],
    ['an argument', '{ users(frist: 1) { totalCount } }'],
    ['an argument of a directive', '{ __typename @skip(iff: true) }'],
    ['a directive', '{ __typename @skipp(if: true) }'],
    ['a type', 'query ($a: UserReff) { user(ref: $a) { id } }'],
    ['a type of a fragment', '{ viewer { ... on Viewerr { kind } } }'],
    ['a fragment on a type that it cannot have', '{ node(id: "a") { kind } }'],
    ['a value', 'mutation { registerInstallation(input: { platform: WEBB }) { __typename } }'],
    ['an input field', 'mutation { registerInstallation(input: { platform: WEB, appVersionn: "1" }) { __typename } }'],
    ['a value in a variable', register, { input: { platform: 'WEBB' } }],
    [
      'a value of a variable’s own',
      'query ($a: Platform) { __typename @skip(if: false) ...F } fragment F on Query { viewer @include(if: $a) { kind } }',
      { a: 'WEBB' },
    ],
    ['an input field in a variable', register, { input: { platform: 'WEB', appVersionn: '1' } }],
    ['a variable', 'query ($first: Int) { users(first: $frist) { totalCount } }'],
    ['a fragment', '{ ...Fieldss } fragment Fields on Query { __typename }'],
    ['an operation', 'query Users { __typename }'],
  ])('%s', async (_, query, variables) => {
    for (const client of [
      g.app,
      g.nobody,
      g.app.as(secrets.installation ?? null),
      g.app.as(secrets.dashboard ?? null),
    ]) {
      const { body } = await client.send(query, variables);
      expect(JSON.stringify(body)).not.toMatch(/did you mean|stack|node_modules|\.ts\b|at \/|src\//i);
    }
  });

  test('which it is', async () => {
    const { body } = await g.server.send('{ userss { totalCount } }');
    expect(body.errors?.[0]?.message).toContain('Did you mean');
  });
});

test('in production no mistake is answered with more than its message, place and code', async () => {
  const mistakes: [string, RequestInit][] = [
    ['/graphql', { body: '{' }],
    ['/graphql', { body: JSON.stringify({ query: '{' }) }],
    ['/graphql', { body: JSON.stringify({ query: '{ node(id: "a") { id } }' }) }],
    ['/graphql', { body: JSON.stringify({ query: '{ users { totalCount } }' }) }],
    ['/graphql', { method: 'DELETE' }],
    ['/graphql', { body: 'a', headers: { 'content-type': 'text/plain' } }],
    ['/graphql', { body: JSON.stringify({ query: '{ __typename }' }), headers: { accept: 'image/png' } }],
    ['/graphql', { body: JSON.stringify({ query: '{ __typename }' }), headers: { authorization: 'Bearer none' } }],
    ['/graphql?variables={', { method: 'GET' }],
    ['/nothing', {}],
  ];
  for (const [path, init] of mistakes) {
    const { errors } = await request(`${g.url}${path}`, { ...init });
    expect(errors).toHaveLength(1);
    for (const { message, locations: _, path: __, extensions, ...rest } of JSON.parse(JSON.stringify(errors))) {
      expect(rest).toEqual({});
      expect(`${message}${JSON.stringify(extensions)}`).not.toMatch(
        /stack|node_modules|\.ts\b|at \/\w+\/|"http"|originalError/i,
      );
    }
  }
});

test('in production there is no GraphiQL, nor any other page', async () => {
  for (const accept of ['text/html', 'text/html,application/xhtml+xml,*/*;q=0.8', '*/*', '']) {
    for (const path of ['/graphql', '/graphql/', '/graphiql', '/graphql?query={__typename}']) {
      const response = await fetch(`${g.url}${path}`, { headers: { accept } });
      const page = await response.text();
      expect(response.headers.get('content-type')).not.toContain('html');
      expect(page).not.toMatch(/<html|graphiql/i);
    }
  }
});
