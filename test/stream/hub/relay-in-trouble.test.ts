import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, inject, test, vi } from 'vitest';
import { useDatabase } from '../../support/database.ts';
import { executeStatement } from '../../support/database-server.ts';
import { insertDeliveries, insertNotification, listLog } from '../../support/log-events.ts';
import { createRenderer, createTestSink, type Renderer } from '../../support/outlets.ts';
import { type Passenger, ride, usePassengers } from '../../support/passengers.ts';
import { until } from '../../support/until.ts';

const database = useDatabase();
const { openHub, openRelay, happens, untilAllHave, untilOnBoard } = usePassengers(database);

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
  await untilOnBoard(parts, { notificationId, renderer, passengers });
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
  await untilOnBoard(parts, { notificationId, renderer, passengers: others });
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
  await untilOnBoard(parts, { notificationId, renderer, passengers: later });
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

test('who has got on ahead of a relay that then fails is told nothing from before it came, and everything from then on', async () => {
  const parts = openHub();
  const { notificationId, renderer, passengers } = await openRelay(parts);
  const held = renderer.hold((item) => item.kind === 'event');
  await happens(parts, notificationId, 3);
  await held.reached;
  const known = await listLog(database.pool, notificationId);
  const late = ride(parts, { notificationId }, { renderer });
  await until(async () => late.sink.lines.length === 1);
  held.fail();
  for (let round = 0; round < 3; round += 1) await happens(parts, notificationId, 2);
  await untilAllHave(notificationId, [...passengers, late]);
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of passengers) expect(sink.lines).toEqual(['LIVE', ...log]);
  expect(late.sink.lines).toEqual(['LIVE', ...log.slice(known.length)]);
});

test('who shared until retention passed its last event, and gets off, is told no GAP: it has missed nothing', async () => {
  const parts = openHub();
  const { pool } = database;
  const { notificationId, renderer, passengers } = await openRelay(parts);
  const otherId = await insertNotification(pool);
  const subjectId = crypto.randomUUID();
  let answering = Promise.resolve<Error | null>(null);
  const access = { subjectId, expiresAt: null, findRefusal: () => answering };
  const guarded = ride(parts, { notificationId }, { renderer, access });
  await untilOnBoard(parts, { notificationId, renderer, passengers: [guarded, ...passengers] });
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
