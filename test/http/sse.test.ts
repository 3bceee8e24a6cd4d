import { afterAll, expect, test } from 'vitest';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { subscribeByGraphqlSse } from '../support/graphql-sse-subscriber.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { countRows } from '../support/request.ts';
import { localIdOf } from '../support/send-operations.ts';
import { collectServedSockets } from '../support/served-sockets.ts';

const g = useDoor({ pollMs: 20 });

const served = collectServedSockets();
afterAll(() => served[Symbol.dispose]());

const events = `
  subscription ($notification: ID, $after: String) {
    deliveryEvents(notification: $notification, after: $after) {
      ... on DeliveryEvent { cursor delivery { id } }
      ... on StreamPosition { cursor state }
    }
  }`;

const asStream = { accept: 'text/event-stream', authorization: `Bearer ${testKeys.serverKey}` };

test('the client graphql-sse, cut off, comes back by itself with the cursor that it then has', async () => {
  const notificationId = await insertNotification(g.pool);
  const variables = { notification: notificationId, after: '' };
  const subscriber = await subscribeByGraphqlSse(g.url, { query: events, variables, secret: testKeys.serverKey });
  const take = async (count: number) => {
    const ids: string[] = [];
    for (let taken = 0; taken < count; taken += 1) {
      const { deliveryEvents: item } = Object((await subscriber.next())?.data);
      variables.after = item.cursor;
      if (item.delivery) ids.push(localIdOf(item.delivery.id));
    }
    return ids;
  };
  // First and last comes RECOVERED.
  await take(1);
  const made = await insertDeliveries(g.pool, { notificationId, count: 5 });
  const told = await take(5);
  const { port } = new URL(g.url);
  for (const socket of served.sockets) if (String(socket.localPort) === port) socket.destroy();
  made.push(...(await insertDeliveries(g.pool, { notificationId, count: 5 })));
  told.push(...(await take(6)));
  subscriber.close();
  expect(told).toEqual(made);
});

test('the single connection mode of graphql-sse is not served, and refused', async () => {
  const subscription = { query: events, secret: testKeys.serverKey };
  const follower = await subscribeByGraphqlSse(g.url, subscription, { singleConnection: true });
  await expect(follower.next()).rejects.toThrow('HTTP 405');
});

test('a subscription by GET is streamed, as EventSource asks for it; a mutation is refused and not done', async () => {
  const before = await countRows(g.pool);
  const mutation = 'mutation { createSegment(input: { name: "by GET" }) { __typename } }';
  const refusal = await fetch(`${g.url}/graphql?${new URLSearchParams({ query: mutation })}`, { headers: asStream });
  expect(refusal.status).toBe(405);
  expect(await refusal.text()).toContain('"code":"BAD_USER_INPUT"');
  expect(await countRows(g.pool)).toEqual(before);

  const leaving = new AbortController();
  const address = `${g.url}/graphql?${new URLSearchParams({ query: events })}`;
  const stream = await fetch(address, { headers: asStream, signal: leaving.signal });
  expect(stream.status).toBe(200);
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('LIVE')) text += (await reader?.read())?.value;
  leaving.abort();
});

test('a subscription by POST that says nothing of what it accepts is streamed', async () => {
  const leaving = new AbortController();
  const headers = { 'content-type': 'application/json', authorization: asStream.authorization };
  const init = { method: 'POST', headers, body: JSON.stringify({ query: events }), signal: leaving.signal };
  const { status, headers: told } = await fetch(`${g.url}/graphql`, init);
  leaving.abort();
  expect({ status, type: told.get('content-type') }).toEqual({ status: 200, type: 'text/event-stream' });
});
