import { request as sendRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { testKeys, useApp } from '../support/app.ts';
import { makeApp } from '../support/make-app.ts';
import { makeInstallation } from '../support/operations.ts';
import { openSocket, type Socket } from '../support/socket.ts';

// Which pages may call, whatever they call by. What may be read of the answer is in cors.test.ts.

const g = useApp();
const shop = 'https://shop.example';
const blog = 'https://blog.example:8443';

let shopApp: Awaited<ReturnType<typeof makeApp>>;
let blogApp: Awaited<ReturnType<typeof makeApp>>;
beforeAll(async () => {
  shopApp = await makeApp(g, [shop]);
  blogApp = await makeApp(g, [blog]);
});

let sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.close();
  sockets = [];
});

const query = '{ __typename }';
const json = { 'content-type': 'application/json' };

/** What a page of an origin can try: each answers the HTTP status, or the close code, that it got. */
const ways: Readonly<Record<string, (origin: string, secret: string) => Promise<number>>> = {
  POST: (origin, secret) => sendPost(origin, { ...json, authorization: `Bearer ${secret}` }),
  GET: async (origin, secret) => {
    const headers = { origin, accept: 'application/json', authorization: `Bearer ${secret}` };
    return finish(await fetch(`${g.url}/graphql?${new URLSearchParams({ query })}`, { headers }));
  },
  SSE: (origin, secret) => {
    return sendPost(origin, { ...json, accept: 'text/event-stream', authorization: `Bearer ${secret}` });
  },
  EventSource: async (origin, secret) => {
    const headers = { origin, accept: 'text/event-stream', authorization: `Bearer ${secret}` };
    return finish(await fetch(`${g.url}/graphql?${new URLSearchParams({ query })}`, { headers }));
  },
  'a form': (origin, secret) => sendPost(origin, { 'content-type': 'text/plain', authorization: `Bearer ${secret}` }),
  WebSocket: async (origin, secret) => {
    try {
      const socket = await openSocket(g.url, 'graphql-transport-ws', { origin });
      sockets.push(socket);
      socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${secret}` } });
      const closed = socket.closed.then(({ code }) => code);
      return await Promise.race([
        socket.next().then(
          () => 200,
          () => closed,
        ),
        closed,
      ]);
    } catch (error) {
      return Number(/\b\d{3}\b/.exec(String(error)));
    }
  },
};

const sendPost = async (origin: string, headers: Record<string, string>) =>
  finish(
    await fetch(`${g.url}/graphql`, {
      method: 'POST',
      headers: { origin, ...headers },
      body: JSON.stringify({ query }),
    }),
  );

async function finish(response: Response): Promise<number> {
  await response.text();
  return response.status;
}

describe.each(Object.entries(ways))('by %s', (way, call) => {
  const allowed = way === 'a form' ? 415 : 200;
  const refusedLater = way === 'WebSocket' ? 4403 : 403;

  test('a page of an app’s origin calls with that app’s key, its installations’ tokens, and with nobody else’s app', async () => {
    const { token } = await makeInstallation(g.app.as(shopApp.secret));
    expect(await call(shop, shopApp.secret)).toBe(allowed);
    expect(await call(shop, token)).toBe(allowed);
    expect(await call(shop, blogApp.secret)).toBe(refusedLater);
    expect(await call(blog, shopApp.secret)).toBe(refusedLater);
    expect(await call(blog, token)).toBe(refusedLater);
    expect(await call(shop, testKeys.appKey)).toBe(refusedLater);
  });

  test('a page of the gateway itself calls with any key', async () => {
    expect(await call(g.url, shopApp.secret)).toBe(allowed);
    expect(await call(g.url, testKeys.serverKey)).toBe(allowed);
  });

  test('a page of an unknown origin calls with no key at all', async () => {
    for (const secret of [shopApp.secret, testKeys.serverKey, testKeys.appKey]) {
      expect(await call('https://evil.example', secret)).toBe(403);
    }
  });
});

describe.each(['POST', 'EventSource', 'WebSocket'])('by %s', (way) => {
  const call = async (origin: string, secret: string) => ways[way]?.(origin, secret);

  test.each([
    'null',
    'http://shop.example',
    'https://shop.example:8443',
    'https://shop.example:443',
    'https://shop.example.evil.example',
    'https://evil-shop.example',
    'https://www.shop.example',
    'https://shop.example.',
    'https://shop.example/',
    'https://SHOP.example',
    'HTTPS://shop.example',
    'https://shop.example@evil.example',
    'https://evil.example#https://shop.example',
    'https://shop.example, https://evil.example',
    'https://blog.example',
    'http://127.0.0.1',
    'http://localhost',
    'file://',
    'garbage',
    '*',
    '',
  ])('a page of the origin "%s", which is none of them, does not', async (origin) => {
    expect(await call(origin, shopApp.secret)).toBe(403);
  });

  test('a look-alike of the gateway’s own origin is not its own', async () => {
    const { host } = new URL(g.url);
    for (const origin of [`${g.url}/`, `${g.url}.evil.example`, `ftp://${host}`, `http://user@${host}`, `${g.url}#`]) {
      expect(await call(origin, shopApp.secret)).toBe(403);
    }
  });
});

test('an origin is let in as soon as updateApp says so, and out again', async () => {
  const app = await makeApp(g);
  const update = 'mutation ($input: UpdateAppInput!) { updateApp(input: $input) { __typename } }';
  const allow = async (allowedOrigins: string[]) => {
    const input = { app: Buffer.from(`App:${app.id}`).toString('base64'), allowedOrigins };
    const { body } = await g.server.send(update, { input });
    expect(body).toEqual({ data: { updateApp: { __typename: 'UpdateAppPayload' } } });
  };
  const origin = 'https://new.example';
  const statuses = () => Promise.all(Object.values(ways).map((call) => call(origin, app.secret)));
  expect(await statuses()).toEqual([403, 403, 403, 403, 403, 403]);
  await allow(['https://New.example:443']);
  expect(await statuses()).toEqual([200, 200, 200, 200, 415, 200]);
  await allow([]);
  expect(await statuses()).toEqual([403, 403, 403, 403, 403, 403]);
});

test('an origin that another gateway’s updateApp takes away is out within a second', async () => {
  const app = await makeApp(g, ['https://old.example']);
  await vi.waitFor(async () => expect(await ways.POST?.('https://old.example', app.secret)).toBe(200));
  await g.pool.query(`update apps set allowed_origins = '{}' where id = $1`, [app.id]);
  await vi.waitFor(async () => expect(await ways.POST?.('https://old.example', app.secret)).toBe(403));
});

test('who is no page is asked for no origin; without a host of its own nothing passes for the gateway’s page', async () => {
  const { hostname, port } = new URL(g.url);
  const send = async (headers: Record<string, string>) => {
    const sent = sendRequest({ hostname, port, path: '/graphql', method: 'POST', headers: { ...json, ...headers } });
    const answered = new Promise<number | undefined>((resolve, reject) => {
      sent.on('error', reject).on('response', (response) => {
        text(response).then(() => resolve(response.statusCode), reject);
      });
    });
    sent.end(JSON.stringify({ query }));
    return answered;
  };
  expect(await send({})).toBe(200);
  expect(await send({ host: '', origin: 'file://' })).toBe(403);
  expect(await send({ host: 'shop.example', origin: 'https://evil.example' })).toBe(403);
});
