import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { useDoor } from '../support/door.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makePartnerKey, makePartnerOperation } from '../support/partner-operations.ts';
import { makePerson } from '../support/people.ts';
import { globalIdOf, localIdOf } from '../support/send-operations.ts';
import { connectSocket } from '../support/socket.ts';

// A dynamic segment is left without a trace: by what its user is, by what it asks for, by another segment that it names. No open
// stream hears of that; what it is about to tell is looked at again each time.

const g = useDoor();

const tag = randomUUID();
const [base, segment] = [newId(), newId()];
let [user, secret, documentId] = ['', '', ''];
beforeAll(async () => {
  user = (await makePerson(g)).id;
  await setTags([tag]);
  secret = await makePartnerKey(g.server, 'acme');
  await setFilter(base, { tag });
  await setFilter(segment, { inSegment: base });
  documentId = await makePartnerOperation(g.server, 'acme', {
    document: `subscription Follow($user: UserRef!) {
      deliveryEvents(user: $user) { ... on StreamPosition { state } ... on DeliveryEvent { status delivery { user { id } } } }
    }`,
    scope: { segment: globalIdOf('Segment', segment) },
  });
});

const setTags = (tags: string[]) =>
  g.pool.query(sql`update users set tags = ${tags}::text[] where id = ${localIdOf(user)}::uuid`);

const setFilter = (id: string, filter: object) =>
  g.pool.query(sql`
    insert into segments (id, name, filter) values (${id}::uuid, ${id}, ${JSON.stringify(filter)}::jsonb)
    on conflict (id) do update set filter = excluded.filter`);

const deliver = async () =>
  insertDeliveries(g.pool, { notificationId: await insertNotification(g.pool), userId: localIdOf(user) });

const endings = new AbortController();
afterAll(() => endings.abort());

/** What a stream tells, one after the other, as text. */
const streams: Record<string, () => Promise<() => Promise<string>>> = {
  async WebSocket() {
    const socket = await connectSocket(g.url, secret);
    endings.signal.addEventListener('abort', () => socket.close());
    socket.send({ id: '1', type: 'subscribe', payload: { documentId, variables: { user: { id: user } } } });
    return async () => JSON.stringify(await socket.next());
  },
  async SSE() {
    const response = await fetch(`${g.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ documentId, variables: { user: { id: user } } }),
      signal: endings.signal,
    });
    const chunks = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    return async () => {
      for (;;) {
        const [event, data] = /^event: \w+\ndata: ?(.*)\n\n/m.exec(text) ?? [];
        if (event !== undefined) {
          text = text.slice(text.indexOf(event) + event.length);
          return data ?? '';
        }
        const chunk = await chunks?.read();
        if (!chunk || chunk.done) return 'END';
        text += chunk.value;
      }
    };
  },
};

const departures: Record<string, () => Promise<unknown>> = {
  'what the user is': () => setTags([]),
  'what the segment asks for': () => setFilter(segment, { all: [{ inSegment: base }, { type: ['LEAD'] }] }),
  'what a segment asks for that it names': () => setFilter(base, { tag: 'another' }),
};

const cases = Object.keys(streams).flatMap((way) => Object.keys(departures).map((why) => [way, why] as const));

test.each(
  cases,
)('a stream by %s tells nothing more of who has left its scope by a change of %s, and ends', async (way, why) => {
  await setTags([tag]);
  await setFilter(base, { tag });
  await setFilter(segment, { inSegment: base });
  const next = await streams[way]?.();
  expect(await next?.()).toContain('LIVE');
  await deliver();
  expect(await next?.()).toContain('QUEUED');
  await departures[why]?.();
  await deliver();
  const told = (await next?.()) ?? '';
  expect(told).toContain('FORBIDDEN');
  expect(told).not.toContain('QUEUED');
  expect(await next?.()).not.toContain('QUEUED');
  await setTags([tag]);
});
