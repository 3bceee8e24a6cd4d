import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, inject, test, vi } from 'vitest';
import type { StreamItem } from '../../../src/stream/hub/event-stream.ts';
import type { Stream } from '../../../src/stream/hub/open-stream.ts';
import { encodeCursor, parseCursor } from '../../../src/stream/log/cursor.ts';
import { readLogHead } from '../../../src/stream/log/log.ts';
import { useDatabase } from '../../support/database.ts';
import { executeStatement } from '../../support/database-server.ts';
import { take, takeLines, useHubs } from '../../support/hubs.ts';
import {
  insertDeliveries,
  insertNotification,
  insertUser,
  listLog,
  mergeUser,
  setStatus,
  toLine,
} from '../../support/log-events.ts';

const database = useDatabase();
const _hour = 3_600_000;
const { openHub } = useHubs(database);

/** Waits until two looks at the count see the same, which they do not while a hub polls every few milliseconds. */
async function untilQuiet(count: () => number): Promise<number> {
  let before = -1;
  await vi.waitUntil(
    () => {
      const isQuiet = count() === before;
      before = count();
      return isQuiet;
    },
    { timeout: 20_000 },
  );
  return before;
}

/** A notification with `count` queued deliveries. */
async function notificationWith(count: number) {
  const notificationId = await insertNotification(database.pool);
  const deliveryIds = count > 0 ? await insertDeliveries(database.pool, { notificationId, count }) : [];
  return { notificationId, deliveryIds };
}

test('without a cursor a stream says LIVE and tells what happens from then on', async () => {
  const { hub, bus } = openHub();
  const { notificationId, deliveryIds } = await notificationWith(3);
  const stream = hub.events({ notificationId });
  expect(await take(stream)).toMatchObject({ kind: 'position', state: 'LIVE' });
  await setStatus(database.pool, deliveryIds, 'SENT');
  bus.wake();
  expect(await takeLines(stream, 3)).toEqual((await listLog(database.pool, notificationId)).slice(3));
});

test('what happens between LIVE and the next item asked for is not lost', async () => {
  const { hub } = openHub();
  const { notificationId, deliveryIds } = await notificationWith(2);
  const stream = hub.events({ notificationId });
  const live = await take(stream);
  // Nobody is woken, and nobody polls: it is found by going on, or by coming back with the cursor.
  await setStatus(database.pool, deliveryIds, 'SENT');
  const again = hub.events({ notificationId }, { after: live.cursor });
  expect(await takeLines(again, 3)).toEqual([...(await listLog(database.pool, notificationId)).slice(2), 'RECOVERED']);
});

test('an empty cursor replays from the oldest event kept, says RECOVERED and goes live', async () => {
  const { hub, bus } = openHub({ pageSize: 2 });
  const { notificationId, deliveryIds } = await notificationWith(5);
  const stream = hub.events({ notificationId }, { after: '' });
  const replay = await takeLines(stream, 6);
  await setStatus(database.pool, deliveryIds, 'SENT');
  bus.wake();
  const live = await takeLines(stream, 5);
  const log = await listLog(database.pool, notificationId);
  expect(replay).toEqual([...log.slice(0, 5), 'RECOVERED']);
  expect(live).toEqual(log.slice(5));
});

test.each([0, 1, 2, 3, 4])('the cursor of item %i of a replay brings exactly what followed it', async (index) => {
  const { hub } = openHub({ pageSize: 2 });
  const { notificationId } = await notificationWith(4);
  const stream = hub.events({ notificationId }, { after: '' });
  const cursors: string[] = [];
  while (cursors.length < 5) cursors.push((await take(stream)).cursor);
  const again = hub.events({ notificationId }, { after: cursors[index] });
  const rest = (await listLog(database.pool, notificationId)).slice(index + 1);
  expect(await takeLines(again, rest.length + 1)).toEqual([...rest, 'RECOVERED']);
});

test('a cursor that the stream never gave is refused before anything is read', () => {
  const { hub, statementsCount } = openHub();
  expect(() => hub.events({}, { after: 'x' })).toThrow(
    expect.objectContaining({ code: 'VALUE_INVALID', inputPath: ['after'] }),
  );
  expect(statementsCount()).toBe(0);
});

test('events of others are not told', async () => {
  const { hub, bus } = openHub();
  const users = [await insertUser(database.pool), await insertUser(database.pool)];
  const [{ notificationId }, { notificationId: otherId }] = [await notificationWith(0), await notificationWith(0)];
  const topics = users.flatMap((userId) => [
    { userId },
    { userId, notificationId },
    { userId, notificationId: otherId },
  ]);
  const streams = [{ notificationId }, { notificationId: otherId }, {}, ...topics].map((topic) => {
    const stream = hub.events(topic);
    return { topic, stream };
  });
  for (const { stream } of streams) await take(stream);
  const created: { notificationId: string; userId: string }[] = [];
  for (let round = 0; round < 12; round += 1) {
    const delivery = { notificationId: round % 3 === 0 ? otherId : notificationId, userId: users[round % 2] ?? '' };
    await insertDeliveries(database.pool, delivery);
    created.push(delivery);
  }
  bus.wake();
  for (const { topic, stream } of streams) {
    const expected = created.filter((delivery) =>
      Object.entries(topic).every(([key, id]) =>
        Object.entries(delivery).some((pair) => pair[0] === key && pair[1] === id),
      ),
    );
    const got = [];
    for (const _ of expected) {
      const item = await take(stream);
      if (item.kind === 'event') got.push({ notificationId: item.entry.notificationId, userId: item.entry.userId });
    }
    expect(got).toEqual(expected);
  }
});

test('with more topics than the reader asks for one by one, each stream still gets its own events only', async () => {
  const { hub, bus } = openHub({ topicsMax: 2 });
  const users = [await insertUser(database.pool), await insertUser(database.pool), await insertUser(database.pool)];
  const { notificationId } = await notificationWith(0);
  const streams = users.map((userId) => hub.events({ userId }));
  for (const stream of streams) await take(stream);
  for (const userId of [...users, ...users]) await insertDeliveries(database.pool, { notificationId, userId });
  bus.wake();
  for (const [index, stream] of streams.entries()) {
    for (let round = 0; round < 2; round += 1) {
      expect(await take(stream)).toMatchObject({ kind: 'event', entry: { userId: users[index] } });
    }
  }
});

test('one statement a tick serves all topics that are followed', async () => {
  const { hub, bus, statementsCount } = openHub();
  const users = await Promise.all(Array.from({ length: 100 }, () => insertUser(database.pool)));
  const { notificationId } = await notificationWith(0);
  const streams = users.map((userId) => hub.events({ userId }));
  await Promise.all(streams.map(take));
  const waiting = streams.map(take);
  const before = statementsCount();
  for (const userId of users) await insertDeliveries(database.pool, { notificationId, userId });
  bus.wake();
  await Promise.all(waiting);
  // The tick that found them, and one that a wake-up before it may have asked for.
  expect(statementsCount() - before).toBeLessThanOrEqual(2);
});

test('without wake-ups the poll delivers', async () => {
  const { hub } = openHub({ pollMs: 20 });
  const { notificationId, deliveryIds } = await notificationWith(2);
  const stream = hub.events({ notificationId });
  await take(stream);
  const next = takeLines(stream, 2);
  await setStatus(database.pool, deliveryIds, 'SENT');
  expect(await next).toEqual((await listLog(database.pool, notificationId)).slice(2));
});

test.each([
  ['pages and seats of the usual size', {}],
  ['pages and seats so small that streams lose their seats all the time', { pageSize: 7, bufferedEventsMax: 5 }],
])('with %s, who breaks off anywhere and comes back misses nothing and repeats nothing while events pour in', async (_, sizes) => {
  const hubs = [openHub({ ...sizes, pollMs: 50 }), openHub({ ...sizes, pollMs: 50 })];
  const userId = await insertUser(database.pool);
  const { notificationId } = await notificationWith(0);
  const { notificationId: otherId } = await notificationWith(0);
  const total = 4 * 40 * 6;
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let round = 0; round < 40; round += 1) {
      const ids = await insertDeliveries(database.pool, { notificationId, userId, count: 3 });
      await insertDeliveries(database.pool, { notificationId: otherId });
      await setStatus(database.pool, ids, 'SENT');
      for (const { bus } of hubs) if ((round + writer) % 3 === 0) bus.wake();
    }
  });
  const readers = Array.from({ length: 8 }, async (_, index) => {
    const read: string[] = [];
    let after = '';
    for (let attempt = index; read.length < total; attempt += 1) {
      const topic = index % 2 === 0 ? { notificationId } : { userId };
      const stream = hubs[attempt % 2]?.hub.events(topic, { after });
      if (!stream) break;
      const until = Math.ceil(Math.random() * 120);
      for (let count = 0; count < until && read.length < total; count += 1) {
        const item = await take(stream);
        expect(item).not.toMatchObject({ state: 'GAP' });
        after = item.cursor;
        if (item.kind === 'event') read.push(toLine(item.entry));
      }
      await stream.return();
    }
    return read;
  });
  const patient = hubs[0]?.hub.events({ notificationId }, { after: '' });
  const patientLines: string[] = [];
  while (patient && patientLines.length < total) {
    const item = await take(patient);
    if (item.kind === 'event') patientLines.push(toLine(item.entry));
  }
  await Promise.all(writers);
  const log = await listLog(database.pool, notificationId);
  expect(log).toHaveLength(total);
  expect(patientLines).toEqual(log);
  for (const read of await Promise.all(readers)) expect(read).toEqual(log);
});

test('a stream that is not read costs nobody else anything, and catches up', async () => {
  const { hub, bus, sentences } = openHub({ bufferedEventsMax: 10, pageSize: 50 });
  const { notificationId } = await notificationWith(0);
  const [stalled, quick] = [hub.events({ notificationId }), hub.events({ notificationId })];
  for (const stream of [stalled, quick]) await take(stream);
  // Both are in step, then one stops reading.
  const [first] = await insertDeliveries(database.pool, { notificationId });
  bus.wake();
  for (const stream of [stalled, quick]) expect(await take(stream)).toMatchObject({ entry: { deliveryId: first } });
  for (let round = 0; round < 40; round += 1) {
    await insertDeliveries(database.pool, { notificationId, count: 5 });
    bus.wake();
    await takeLines(quick, 5);
  }
  expect(await takeLines(stalled, 200)).toEqual((await listLog(database.pool, notificationId)).slice(1));
  expect(sentences).toEqual([]);
});

test('a quiet stream whose last event retention has dropped is told no GAP when a burst takes its seat', async () => {
  const { hub, bus } = openHub({ bufferedEventsMax: 3 });
  const [{ notificationId }, { notificationId: otherId }] = [await notificationWith(0), await notificationWith(0)];
  const [quiet, other] = [hub.events({ notificationId }), hub.events({ notificationId: otherId })];
  for (const stream of [quiet, other]) await take(stream);
  await insertDeliveries(database.pool, { notificationId });
  await insertDeliveries(database.pool, { notificationId: otherId, count: 3 });
  bus.wake();
  await take(quiet);
  const burst = takeLines(quiet, 5);
  await takeLines(other, 2);
  const { position } = parseCursor((await take(other)).cursor);
  await database.pool.query('delete from delivery_events where position < $1', [position]);
  await database.pool.query('update delivery_log set oldest_position = $1', [position]);
  await insertDeliveries(database.pool, { notificationId, count: 5 });
  bus.wake();
  expect(await burst).toEqual(await listLog(database.pool, notificationId));
});

test('many that catch up at once read a few pages at a time', async () => {
  const { hub, storage } = openHub({ catchUpReadsMax: 3, pageSize: 5 }, 50);
  const { notificationId } = await notificationWith(40);
  let mostAtOnce = 0;
  storage.pool.on('acquire', () => {
    mostAtOnce = Math.max(mostAtOnce, storage.pool.totalCount - storage.pool.idleCount);
  });
  const streams = Array.from({ length: 50 }, () => hub.events({ notificationId }, { after: '' }));
  const log = await listLog(database.pool, notificationId);
  const replays = await Promise.all(streams.map((stream) => takeLines(stream, 41)));
  for (const replay of replays) expect(replay).toEqual([...log, 'RECOVERED']);
  // Three pages, and the reader.
  expect(mostAtOnce).toBeLessThanOrEqual(4);
});

test('a merge moves an open stream to the survivor', async () => {
  const { hub, bus } = openHub();
  const [survivor, merged] = [await insertUser(database.pool), await insertUser(database.pool)];
  const { notificationId } = await notificationWith(0);
  const streams = [hub.events({ userId: merged }), hub.events({ userId: merged, notificationId })];
  for (const stream of streams) await take(stream);
  await insertDeliveries(database.pool, { notificationId, userId: merged });
  bus.wake();
  for (const stream of streams) expect(await take(stream)).toMatchObject({ entry: { userId: merged } });
  await insertDeliveries(database.pool, { notificationId, userId: survivor });
  bus.wake();
  await mergeUser(database.pool, { merged, survivor });
  const [afterwards] = await insertDeliveries(database.pool, { notificationId, userId: survivor });
  bus.wake();
  for (const stream of streams) {
    // What came to the survivor before the merge may be told or not: whose it is counts when it is read.
    let item = await take(stream);
    while (item.kind !== 'event' || item.entry.deliveryId !== afterwards) item = await take(stream);
  }
});

test('a stream of the survivor goes on telling what was made for the merged user', async () => {
  const { hub, bus } = openHub();
  const [survivor, merged] = [await insertUser(database.pool), await insertUser(database.pool)];
  const { notificationId } = await notificationWith(0);
  const [deliveryId] = await insertDeliveries(database.pool, { notificationId, userId: merged });
  const stream = hub.events({ userId: survivor });
  await take(stream);
  await mergeUser(database.pool, { merged, survivor });
  await setStatus(database.pool, [deliveryId ?? ''], 'SENT');
  bus.wake();
  expect(await take(stream)).toMatchObject({ entry: { deliveryId, userId: merged, status: 'SENT' } });
});

test.each(['return', 'abort', 'close'])('%s ends a stream that waits at once', async (how) => {
  const { hub } = openHub();
  const { notificationId } = await notificationWith(0);
  const ending = new AbortController();
  const streams = [
    hub.events({ notificationId }, { signal: ending.signal }),
    hub.touched({ notificationId }, { signal: ending.signal }),
  ];
  for (const stream of streams) await stream.next();
  const waiting = streams.map((stream) => stream.next());
  if (how === 'return') for (const stream of streams) await stream.return();
  if (how === 'abort') ending.abort();
  if (how === 'close') await hub.close();
  expect(await Promise.all(waiting)).toEqual([
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
  for (const stream of streams) expect(await stream.next()).toEqual({ done: true, value: undefined });
});

test('a closed hub opens streams that have ended', async () => {
  const { hub } = openHub();
  await hub.close();
  expect(await hub.events({}).next()).toEqual({ done: true, value: undefined });
});

test('touched yields at once, and then once however much happened meanwhile, to that notification only', async () => {
  const { hub, bus } = openHub();
  const { notificationId } = await notificationWith(0);
  const witness = hub.events({});
  await take(witness);
  const touched = hub.touched({ notificationId });
  expect(await touched.next()).toEqual({ done: false, value: 'touched' });
  for (let round = 0; round < 3; round += 1) {
    await insertDeliveries(database.pool, { notificationId });
    bus.wake();
    await take(witness);
  }
  await touched.next();
  let touches = 0;
  const next = touched.next().then(() => {
    touches += 1;
  });
  await notificationWith(1);
  bus.wake();
  await take(witness);
  await nextTurn();
  expect(touches).toBe(0);
  await insertDeliveries(database.pool, { notificationId });
  bus.wake();
  await next;
  expect(touches).toBe(1);
});

test.each([
  ['returned', (stream: Stream<StreamItem>) => stream.return()],
  ['ended while nobody reads them', async (stream: Stream<StreamItem>) => stream.end()],
])('streams that are %s leave the database alone', async (_, end) => {
  const { hub, bus, statementsCount } = openHub({ pollMs: 1 });
  const { notificationId, deliveryIds } = await notificationWith(1);
  const streams = [hub.events({ notificationId }), hub.events({ notificationId }, { after: '' })];
  for (const stream of streams) await take(stream);
  await setStatus(database.pool, deliveryIds, 'SENT');
  for (const stream of streams) await take(stream);
  for (const stream of streams) await end(stream);
  const before = await untilQuiet(statementsCount);
  bus.wake();
  await nextTurn();
  await nextTurn();
  expect(statementsCount()).toBe(before);
});

test('a database that goes away is waited for: nothing is lost, nothing is repeated, and each is said once', async () => {
  const { hub, bus, sentences } = openHub({ pollMs: 20, pageSize: 3 });
  const { notificationId, deliveryIds } = await notificationWith(10);
  const live = hub.events({ notificationId });
  const replay = hub.events({ notificationId }, { after: '' });
  const first = [...(await takeLines(live, 1)), ...(await takeLines(replay, 2))];
  const name = new URL(database.url).pathname.slice(1);
  const serverUrl = inject('databaseServerUrl');
  await executeStatement(serverUrl, `alter database ${name} allow_connections false`);
  await executeStatement(serverUrl, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  const rest = [takeLines(live, 10), takeLines(replay, 19)];
  await vi.waitUntil(() => sentences.length >= 2, { timeout: 20_000 });
  await executeStatement(serverUrl, `alter database ${name} allow_connections true`);
  await setStatus(database.pool, deliveryIds, 'SENT');
  bus.wake();
  const [liveRest, replayRest] = await Promise.all(rest);
  const log = await listLog(database.pool, notificationId);
  expect(first).toEqual(['LIVE', ...log.slice(0, 2)]);
  expect(liveRest).toEqual(log.slice(10));
  expect(replayRest?.filter((line) => line !== 'RECOVERED')).toEqual(log.slice(2));
  expect(sentences.toSorted()).toEqual([
    'The delivery log can be read again',
    'The delivery log can be read again; live streams go on',
    'The delivery log cannot be read; live streams wait',
    'The delivery log cannot be read; streams that catch up wait',
  ]);
});

/** Each test of a gap damages the log, so that cursors of before are none any more. */
const damages: [string, () => Promise<unknown>][] = [
  ['its epoch is another', () => database.pool.query('update delivery_log set epoch = gen_random_uuid()')],
  ['it was truncated', () => database.pool.query('truncate delivery_events')],
  ['it was restored to before there was an event', () => database.pool.query('delete from delivery_events')],
  [
    'it was truncated and has grown past the cursor',
    async () => {
      await database.pool.query('truncate delivery_events');
      await notificationWith(30);
    },
  ],
  [
    'it was restored, and other events have taken the positions',
    () => database.pool.query('update delivery_events set tag = tag # 1'),
  ],
  [
    'retention has passed the cursor',
    async () => {
      const { position } = await readLogHead(database.pool);
      const notificationId = await insertNotification(database.pool);
      // At one stroke: a stream that looked in between would be told of the events before they go.
      const client = await database.pool.connect();
      await client.query('begin');
      await insertDeliveries(client, { notificationId, count: 3 });
      await client.query('delete from delivery_events where position <= $1', [position + 2n]);
      await client.query('update delivery_log set oldest_position = $1', [position + 3n]);
      await client.query('commit');
      client.release();
    },
  ],
];

test.each(damages)('a cursor is answered with GAP, and the oldest events kept, when %s', async (_, damage) => {
  const { hub } = openHub();
  const { notificationId } = await notificationWith(3);
  const before = hub.events({ notificationId }, { after: '' });
  await takeLines(before, 3);
  const { cursor } = await take(before);
  await damage();
  const { notificationId: newId } = await notificationWith(2);
  const stream = hub.events({}, { after: cursor });
  const log = await listLog(database.pool);
  expect(await takeLines(stream, log.length + 2)).toEqual(['GAP', ...log, 'RECOVERED']);
  expect(log.slice(-2)).toEqual(await listLog(database.pool, newId));
});

test.each(
  damages,
)('an open stream is told GAP, and goes on from the oldest events kept, when %s', async (_, damage) => {
  const { hub, bus } = openHub({ pollMs: 20 });
  const stream = hub.events({});
  await take(stream);
  const { notificationId } = await notificationWith(1);
  bus.wake();
  expect(await takeLines(stream, 1)).toEqual(await listLog(database.pool, notificationId));
  const next = take(stream);
  await damage();
  bus.wake();
  expect(await next).toMatchObject({ kind: 'position', state: 'GAP' });
  const log = await listLog(database.pool);
  expect(await takeLines(stream, log.length + 1)).toEqual([...log, 'RECOVERED']);
  await notificationWith(1);
  bus.wake();
  expect(await takeLines(stream, 1)).toEqual((await listLog(database.pool)).slice(-1));
});

test('a cursor right before the oldest event kept is good: nothing is missing', async () => {
  const { hub } = openHub();
  const { notificationId } = await notificationWith(1);
  const stream = hub.events({ notificationId }, { after: '' });
  const { cursor } = await take(stream);
  const { position, tag } = parseCursor(cursor);
  await database.pool.query('delete from delivery_events where position <= $1', [position]);
  await database.pool.query('update delivery_log set oldest_position = $1, tag_before_oldest = $2', [
    position + 1n,
    tag,
  ]);
  const again = hub.events({}, { after: cursor });
  expect(await takeLines(again, 1)).toEqual(['RECOVERED']);
});

test('a cursor below what is kept whole is answered with GAP, though its own event is still there', async () => {
  const { hub } = openHub();
  const { notificationId } = await notificationWith(3);
  const stream = hub.events({ notificationId }, { after: '' });
  const { cursor } = await take(stream);
  const { position } = parseCursor(cursor);
  await database.pool.query('delete from delivery_events where position = $1', [position + 1n]);
  await database.pool.query('update delivery_log set oldest_position = $1', [position + 2n]);
  const again = hub.events({ notificationId }, { after: cursor });
  expect(await takeLines(again, 3)).toEqual(['GAP', (await listLog(database.pool, notificationId))[1], 'RECOVERED']);
});

test('a stream of a log that was replaced does not read on and on until the reader has noticed', async () => {
  const { hub, bus, statementsCount } = openHub();
  const old = hub.events({});
  await take(old);
  await notificationWith(3);
  bus.wake();
  await takeLines(old, 3);
  await database.pool.query('delete from delivery_events');
  await database.pool.query('alter sequence delivery_events_position_seq restart');
  await database.pool.query('update delivery_log set oldest_position = 1, tag_before_oldest = 0');
  const { notificationId } = await notificationWith(1);
  const stream = hub.events({ notificationId }, { after: '' });
  await takeLines(stream, 2);
  const next = take(stream);
  await untilQuiet(statementsCount);
  const [deliveryId] = await insertDeliveries(database.pool, { notificationId });
  bus.wake();
  expect(await next).toMatchObject({ entry: { deliveryId } });
  expect(await take(old)).toMatchObject({ state: 'GAP' });
});

test('a cursor with the tag of another event is answered with GAP', async () => {
  const { hub } = openHub();
  const { notificationId } = await notificationWith(2);
  const stream = hub.events({ notificationId }, { after: '' });
  const { epoch, position, tag } = parseCursor((await take(stream)).cursor);
  const forged = hub.events({ notificationId }, { after: encodeCursor({ epoch, position, tag: tag ^ 1 }) });
  expect(await takeLines(forged, 1)).toEqual(['GAP']);
});
