import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, inject, test, vi } from 'vitest';
import type { Access } from '../../src/stream/gate.ts';
import type { EventStream } from '../../src/stream/hub.ts';
import { useDatabase } from '../support/database.ts';
import { executeStatement } from '../support/database-server.ts';
import { type TestHub, take, takeLines, useHubs } from '../support/hubs.ts';
import { travel } from '../support/journeys.ts';
import { insertDeliveries, insertNotification, insertUser, listLog, setStatus } from '../support/log-events.ts';
import { createRenderer, createTestSink, lineOf, type Renderer, type TestSink } from '../support/outlets.ts';
import { createRandom } from '../support/random.ts';
import { until } from '../support/until.ts';

const database = useDatabase();
const { openHub } = useHubs(database);

/** Somebody whose stream is forwarded to a sink. */
interface Passenger {
  sink: TestSink;
  stream: EventStream;
  /** Settles when the stream has ended, as `forward` does. */
  ended: Promise<void>;
}

interface Ride {
  renderer: Renderer;
  sharedAs?: string | null;
  sink?: TestSink;
  after?: string;
  signal?: AbortSignal;
  access?: Access;
}

function ride({ hub }: TestHub, topic: { notificationId?: string; userId?: string }, given: Ride): Passenger {
  const { renderer, sharedAs = 'shared', sink = createTestSink(), ...read } = given;
  const stream = hub.events(topic, read);
  const ended = stream.forward({ sink, render: renderer.render, sharedAs });
  // A test that wants to know looks at it itself.
  ended.catch(() => undefined);
  return { sink, stream, ended };
}

const countOf = (lines: readonly string[], line: string) => lines.filter((other) => other === line).length;

/** Waits until all of them have the last event of the notification. */
async function untilAllHave(notificationId: string, passengers: readonly Passenger[]): Promise<void> {
  const last = (await listLog(database.pool, notificationId)).at(-1);
  await until(async () => passengers.every(({ sink }) => sink.lines.includes(last ?? 'LIVE')));
}

/**
 * Makes events of the notification until one is rendered only once for all of them, of whom there must be several: they are
 * on board of one relay then.
 */
async function untilOnBoard(
  { bus }: TestHub,
  notificationId: string,
  passengers: readonly Passenger[],
  { rendered }: Renderer,
) {
  await until(async () => passengers.every(({ sink }) => sink.lines.length > 0));
  for (;;) {
    await insertDeliveries(database.pool, { notificationId });
    bus.wake();
    await untilAllHave(notificationId, passengers);
    const last = (await listLog(database.pool, notificationId)).at(-1) ?? '';
    if (countOf(rendered, last) === 1) return;
  }
}

/** A relay of a notification with so many on board, who were told LIVE and a few events. */
async function openRelay(
  parts: TestHub,
  { count = 2, ...given }: { count?: number; renderer?: Renderer; sinks?: TestSink[] } = {},
) {
  const { renderer = createRenderer(), sinks = Array.from({ length: count }, () => createTestSink()) } = given;
  const notificationId = await insertNotification(database.pool);
  const passengers = sinks.map((sink) => ride(parts, { notificationId }, { renderer, sink }));
  await untilOnBoard(parts, notificationId, passengers, renderer);
  return { notificationId, renderer, passengers };
}

/** So many events of the notification, which the reader has read when this resolves. */
async function happens({ hub, bus }: TestHub, notificationId: string, count: number) {
  const witness = hub.events({ notificationId });
  await take(witness);
  const deliveryIds = await insertDeliveries(database.pool, { notificationId, count });
  bus.wake();
  await takeLines(witness, count);
  await witness.return();
  return deliveryIds;
}

test('all who are in step under one name share one rendering of each event, and each gets every event', async () => {
  const parts = openHub();
  const { notificationId, renderer, passengers } = await openRelay(parts, { count: 50 });
  const before = (await listLog(database.pool, notificationId)).length;
  for (let round = 0; round < 10; round += 1) {
    const ids = await insertDeliveries(database.pool, { notificationId, count: 20 });
    parts.bus.wake();
    await setStatus(database.pool, ids, 'SENT');
    parts.bus.wake();
  }
  await untilAllHave(notificationId, passengers);
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of passengers) expect(sink.lines).toEqual(['LIVE', ...log]);
  for (const line of log.slice(before)) expect(countOf(renderer.rendered, line)).toBe(1);
});

test('whoever has no name shares with nobody, and different names are rendered apart', async () => {
  const parts = openHub();
  const notificationId = await insertNotification(database.pool);
  const renderers = [null, null, 'a', 'b'].map((sharedAs) => ({ sharedAs, renderer: createRenderer() }));
  const passengers = renderers.map((given) => ride(parts, { notificationId }, given));
  await until(async () => passengers.every(({ sink }) => sink.lines.length > 0));
  for (let round = 0; round < 3; round += 1) {
    await insertDeliveries(database.pool, { notificationId, count: 5 });
    parts.bus.wake();
    await untilAllHave(notificationId, passengers);
  }
  const log = await listLog(database.pool, notificationId);
  for (const { renderer } of renderers) expect(renderer.rendered).toEqual(['LIVE', ...log]);
  for (const { sink } of passengers) expect(sink.lines).toEqual(['LIVE', ...log]);
});

test('one name for different topics mixes nothing up', async () => {
  const parts = openHub();
  const users = [await insertUser(database.pool), await insertUser(database.pool)];
  const notifications = [await insertNotification(database.pool), await insertNotification(database.pool)];
  const topics = [
    ...[...users, ...users].map((userId) => ({ userId })),
    ...[...notifications, ...notifications].map((notificationId) => ({ notificationId })),
    ...users.flatMap((userId) => notifications.map((notificationId) => ({ userId, notificationId }))),
  ];
  const renderer = createRenderer();
  const rides = topics.map((topic) => ({ topic, ...ride(parts, topic, { renderer }) }));
  await until(async () => rides.every(({ sink }) => sink.lines.length > 0));
  const created: { userId: string; notificationId: string; id: string }[] = [];
  for (let round = 0; round < 40; round += 1) {
    const [userId = '', notificationId = ''] = [users[round % 2], notifications[(round >> 1) % 2]];
    const [id = ''] = await insertDeliveries(database.pool, { userId, notificationId });
    created.push({ userId, notificationId, id });
    parts.bus.wake();
  }
  for (const { topic, sink } of rides) {
    const meant = created.filter((delivery) =>
      Object.entries({ ...delivery, ...topic }).every(([key, id]) =>
        Object.entries(delivery).some((pair) => pair[0] === key && pair[1] === id),
      ),
    );
    await until(async () => sink.events.length >= meant.length);
    expect(sink.events.map((line) => line.split(' ')[1])).toEqual(meant.map(({ id }) => id));
  }
});

test('a sink that is full for ever holds a bounded number of bytes, and all others get everything', async () => {
  const parts = openHub({ bufferedEventsMax: 20, pageSize: 20 });
  const frameBytes = 4_096;
  const [stalled, ...quick] = Array.from({ length: 10 }, () => createTestSink({ waitingBytesMax: 64 * 1024 }));
  const { notificationId, passengers } = await openRelay(parts, {
    renderer: createRenderer({ frameBytes }),
    sinks: stalled ? [stalled, ...quick] : [],
  });
  stalled?.stall();
  const before = stalled?.writtenBytes ?? 0;
  for (let round = 0; round < 20; round += 1) {
    await insertDeliveries(database.pool, { notificationId, count: 25 });
    parts.bus.wake();
    await untilAllHave(notificationId, passengers.slice(1));
  }
  const log = await listLog(database.pool, notificationId);
  for (const sink of quick) expect(sink.events).toEqual(log);
  // Until it is full, a turn that overfills it, and one that was about to be written.
  expect((stalled?.writtenBytes ?? 0) - before).toBeLessThanOrEqual((64 + 32 + 32) * 1024);
  stalled?.resume();
  await untilAllHave(notificationId, passengers);
  expect(stalled?.events).toEqual(log);
});

test('when most are full for ever, the others still get everything', async () => {
  const parts = openHub();
  const sinks = Array.from({ length: 6 }, () => createTestSink());
  const { notificationId, passengers } = await openRelay(parts, { sinks });
  for (const sink of sinks.slice(1)) sink.stall();
  for (let round = 0; round < 5; round += 1) {
    await insertDeliveries(database.pool, { notificationId, count: 10 });
    parts.bus.wake();
    await untilAllHave(notificationId, passengers.slice(0, 1));
  }
  for (const sink of sinks) sink.resume();
  await untilAllHave(notificationId, passengers);
  const log = await listLog(database.pool, notificationId);
  for (const sink of sinks) expect(sink.lines).toEqual(['LIVE', ...log]);
});

test('who gets on while the relay is in the middle of a page gets all of it once', async () => {
  const parts = openHub();
  const { notificationId, renderer, passengers } = await openRelay(parts);
  // A hundred are rendered at a time: the relay has told those when the next ones are held.
  const known = (await listLog(database.pool, notificationId)).length;
  const middle = renderer.hold((item) => item.kind === 'event' && middleLines.has(lineOf(item)));
  const middleLines = new Set<string>();
  await insertDeliveries(database.pool, { notificationId, count: 250 });
  const page = (await listLog(database.pool, notificationId)).slice(known);
  middleLines.add(page[150] ?? '');
  parts.bus.wake();
  await middle.reached;
  const late = Array.from({ length: 3 }, () =>
    ride(parts, { notificationId }, { renderer: createRenderer(), after: '' }),
  );
  await untilAllHave(notificationId, late);
  expect(passengers[0]?.sink.events).toEqual((await listLog(database.pool, notificationId)).slice(0, known + 100));
  middle.release();
  await insertDeliveries(database.pool, { notificationId, count: 3 });
  parts.bus.wake();
  await untilAllHave(notificationId, [...passengers, ...late]);
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of [...passengers, ...late]) expect(sink.events).toEqual(log);
});

test('a relay that has let its seat run over reads for itself, and tells each only what it has not had', async () => {
  const parts = openHub({ bufferedEventsMax: 5 });
  const { notificationId, renderer, passengers } = await openRelay(parts);
  const held = renderer.hold((item) => item.kind === 'event');
  await happens(parts, notificationId, 4);
  await held.reached;
  const lateRenderer = createRenderer();
  const late = ride(parts, { notificationId }, { renderer: lateRenderer });
  const heldLate = lateRenderer.hold((item) => item.kind === 'position');
  await heldLate.reached;
  const joined = await listLog(database.pool, notificationId);
  await happens(parts, notificationId, 3);
  // For these the relay's seat has no room, and that of the one who came late has.
  await happens(parts, notificationId, 2);
  await happens(parts, notificationId, 1);
  heldLate.release();
  await until(async () => late.sink.events.length >= 5);
  // Nobody is woken: the relay finds these when it reads for itself, and the reader has not.
  await insertDeliveries(database.pool, { notificationId, count: 4 });
  held.release();
  await untilAllHave(notificationId, [...passengers, late]);
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of passengers) expect(sink.events).toEqual(log);
  expect(late.sink.lines).toEqual(['LIVE', ...log.slice(joined.length)]);
});

test('a database that goes away is waited for by a relay, and nobody misses or repeats anything', async () => {
  const parts = openHub({ pollMs: 20 });
  const { notificationId, passengers } = await openRelay(parts, { count: 10 });
  const name = new URL(database.url).pathname.slice(1);
  const serverUrl = inject('databaseServerUrl');
  await executeStatement(serverUrl, `alter database ${name} allow_connections false`);
  await executeStatement(serverUrl, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  await until(async () => parts.sentences.length > 0);
  const late = ride(
    parts,
    { notificationId },
    { renderer: createRenderer(), after: passengers[0]?.sink.cursors.at(-1) ?? '' },
  );
  await executeStatement(serverUrl, `alter database ${name} allow_connections true`);
  const known = await listLog(database.pool, notificationId);
  await insertDeliveries(database.pool, { notificationId, count: 30 });
  await untilAllHave(notificationId, [...passengers, late]);
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of passengers) expect(sink.lines).toEqual(['LIVE', ...log]);
  expect(late.sink.events).toEqual(log.slice(known.length));
});

/** Each test of these damages the log, so that places of before are none any more. */
const damages: [string, string][] = [
  ['its epoch is another', 'update delivery_log set epoch = gen_random_uuid()'],
  ['it is truncated', 'truncate delivery_events'],
  ['it is restored, and other events have taken the positions', 'update delivery_events set tag = tag # 1'],
];

test.each(
  damages,
)('a relay whose log is replaced ends, and each is told GAP, what is kept, and goes on, when %s', async (_, damage) => {
  const parts = openHub({ pollMs: 20 });
  const { notificationId, renderer, passengers } = await openRelay(parts, { count: 10 });
  const before = passengers[0]?.sink.lines ?? [];
  const told = [...before];
  await database.pool.query(damage);
  await until(async () => passengers.every(({ sink }) => sink.lines.includes('RECOVERED')));
  const kept = await listLog(database.pool, notificationId);
  await untilOnBoard(parts, notificationId, passengers, renderer);
  const since = (await listLog(database.pool, notificationId)).slice(kept.length);
  for (const { sink } of passengers) expect(sink.lines).toEqual([...told, 'GAP', ...kept, 'RECOVERED', ...since]);
});

test.each([
  ['return', async ({ stream }: Passenger) => void (await stream.return())],
  ['end', async ({ stream }: Passenger) => stream.end()],
])('when the last has got off by %s, nothing is read any more, and who comes later finds a new relay', async (_, end) => {
  const parts = openHub({ pollMs: 1 });
  let statementsCount = 0;
  parts.storage.pool.on('acquire', () => {
    statementsCount += 1;
  });
  const { notificationId, passengers } = await openRelay(parts, { count: 5 });
  const log = await listLog(database.pool, notificationId);
  for (const passenger of passengers) await end(passenger);
  await Promise.all(passengers.map(({ ended }) => ended));
  let before = -1;
  await vi.waitUntil(() => {
    const isQuiet = statementsCount === before;
    before = statementsCount;
    return isQuiet;
  });
  parts.bus.wake();
  await nextTurn();
  await nextTurn();
  expect(statementsCount).toBe(before);
  await insertDeliveries(database.pool, { notificationId });
  const renderer = createRenderer();
  const others = [1, 2].map(() =>
    ride(parts, { notificationId }, { renderer, after: passengers[0]?.sink.cursors.at(-1) ?? '' }),
  );
  await untilOnBoard(parts, notificationId, others, renderer);
  for (const { sink } of others)
    expect(sink.events).toEqual((await listLog(database.pool, notificationId)).slice(log.length));
  for (const { sink } of passengers) expect(sink.events).toEqual(log);
});

test('a hub that closes ends everybody on board as if there were no more to come', async () => {
  const parts = openHub();
  const { passengers } = await openRelay(parts, { count: 5 });
  await parts.hub.close();
  await Promise.all(passengers.map(({ ended }) => ended));
});

test('who is ended while the relay writes to others gets nothing more, and the others get everything', async () => {
  const parts = openHub();
  let onWrite: ((index: number) => void) | undefined;
  const sinks = [0, 1, 2, 3].map((index) => createTestSink({ onWritten: () => onWrite?.(index) }));
  const { notificationId, passengers } = await openRelay(parts, { sinks });
  const before = await listLog(database.pool, notificationId);
  let ended: Passenger | undefined;
  onWrite = (index) => {
    ended ??= passengers[(index + 1) % 4];
    ended?.stream.end();
  };
  const others = () => passengers.filter((passenger) => passenger !== ended);
  for (let round = 0; round < 3; round += 1) {
    await insertDeliveries(database.pool, { notificationId, count: 2 });
    parts.bus.wake();
    await until(async () => ended !== undefined);
    await untilAllHave(notificationId, others());
  }
  await ended?.ended;
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of others()) expect(sink.events).toEqual(log);
  expect(ended?.sink.events).toEqual(before);
});

test('when an event cannot be rendered each reader is told by an error, and others are not touched', async () => {
  const parts = openHub();
  const { notificationId, passengers } = await openRelay(parts, {
    renderer: failing(createRenderer(), Number.POSITIVE_INFINITY, 5),
    count: 5,
  });
  const others = ride(parts, { notificationId }, { renderer: createRenderer(), sharedAs: 'others', after: '' });
  await happens(parts, notificationId, 10);
  for (const { ended } of passengers) await expect(ended).rejects.toThrow('It cannot be rendered.');
  await untilAllHave(notificationId, [others]);
  const renderer = createRenderer();
  const later = [1, 2].map(() =>
    ride(parts, { notificationId }, { renderer, after: passengers[0]?.sink.cursors.at(-1) ?? '' }),
  );
  await untilOnBoard(parts, notificationId, later, renderer);
  await untilAllHave(notificationId, [others]);
  const log = await listLog(database.pool, notificationId);
  expect(others.sink.events).toEqual(log);
  for (const { sink } of passengers) expect([...sink.events, ...(later[0]?.sink.events ?? [])]).toEqual(log);
});

test('when an event cannot be rendered once, each renders it for itself, and nobody misses or repeats anything', async () => {
  const parts = openHub();
  const { notificationId, passengers } = await openRelay(parts, {
    renderer: failing(createRenderer(), 1, 5),
    count: 5,
  });
  for (let round = 0; round < 5; round += 1) await happens(parts, notificationId, 10);
  await untilAllHave(notificationId, passengers);
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of passengers) expect(sink.lines).toEqual(['LIVE', ...log]);
});

/** A renderer that fails so many times when it is to render more events at once than `itemsMax`. */
function failing(renderer: Renderer, timesMax: number, itemsMax: number): Renderer {
  let times = 0;
  return {
    ...renderer,
    async render(items) {
      if (items.length > itemsMax && times < timesMax) {
        times += 1;
        throw new Error('It cannot be rendered.');
      }
      return renderer.render(items);
    },
  };
}

test('who shared until retention passed its last event, and gets off, is told no GAP: it has missed nothing', async () => {
  const parts = openHub();
  const { pool } = database;
  const { notificationId, renderer, passengers } = await openRelay(parts);
  const otherId = await insertNotification(pool);
  const subjectId = crypto.randomUUID();
  let answering = Promise.resolve<Error | null>(null);
  const access = { subjectId, expiresAt: null, findRefusal: () => answering };
  const guarded = ride(parts, { notificationId }, { renderer, access });
  await untilOnBoard(parts, notificationId, [guarded, ...passengers], renderer);
  await happens(parts, otherId, 20);
  const [position] = ((await listLog(pool, otherId)).at(-1) ?? '').split(' ');
  await pool.query('delete from delivery_events where position < $1', [position]);
  await pool.query('update delivery_log set oldest_position = $1', [position]);
  // While it is looked at whether it may read on, it cannot be taken along.
  const { promise, resolve } = Promise.withResolvers<null>();
  answering = promise;
  await pool.query('insert into access_changes (subject_id) values ($1)', [subjectId]);
  await insertDeliveries(pool, { notificationId, count: 2 });
  parts.bus.wake();
  await untilAllHave(notificationId, passengers);
  const lines = [...guarded.sink.lines];
  resolve(null);
  await untilAllHave(notificationId, [guarded]);
  expect(guarded.sink.lines).toEqual([...lines, ...(await listLog(pool, notificationId))]);
});

test.each([
  1, 2, 3, 4,
])('whatever each of many does meanwhile, it is told every event once and in order (chance %i)', async (seed) => {
  const random = createRandom(seed);
  const parts = openHub({
    pollMs: 20,
    pageSize: random.pick([2, 5, 20, 500]),
    bufferedEventsMax: random.pick([1, 4, 30, 1_000]),
    topicsMax: random.pick([1, 1_000]),
  });
  const journeys = await travel({ parts, pool: database.pool, random, travellersCount: 20, eventsCount: 1_000 });
  for (const { told, expected } of journeys) expect(told).toEqual(expected);
});
