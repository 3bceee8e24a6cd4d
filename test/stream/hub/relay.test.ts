import { expect, test } from 'vitest';
import { useDatabase } from '../../support/database.ts';
import { insertDeliveries, insertNotification, insertUser, listLog, setStatus } from '../../support/log-events.ts';
import { createRenderer, createTestSink, lineOf } from '../../support/outlets.ts';
import { countOf, ride, usePassengers } from '../../support/passengers.ts';
import { until } from '../../support/until.ts';

const database = useDatabase();
const { openHub, openRelay, happens, untilAllHave } = usePassengers(database);

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
  await happens(parts, notificationId, 1);
  await held.reached;
  await happens(parts, notificationId, 3);
  const late = [1, 2].map(() => {
    const itsOwn = createRenderer();
    const hold = itsOwn.hold((item) => item.kind === 'position');
    return { hold, ...ride(parts, { notificationId }, { renderer: itsOwn }) };
  });
  for (const { hold } of late) await hold.reached;
  const joined = await listLog(database.pool, notificationId);
  // For the last of these the relay's seat has no room, and those of the ones who came late have.
  for (let count = 0; count < 3; count += 1) await happens(parts, notificationId, 1);
  const [first, second] = late;
  first?.hold.release();
  await untilAllHave(notificationId, late.slice(0, 1));
  // Nobody is woken: the relay finds these when it reads for itself, and the reader has not.
  await insertDeliveries(database.pool, { notificationId, count: 4 });
  held.release();
  await untilAllHave(notificationId, [...passengers, ...late.slice(0, 1)]);
  // The relay is ahead of this one.
  second?.hold.release();
  await until(async () => second?.sink.events.length === 3);
  parts.bus.wake();
  await untilAllHave(notificationId, late);
  const log = await listLog(database.pool, notificationId);
  for (const { sink } of passengers) expect(sink.events).toEqual(log);
  for (const { sink } of late) expect(sink.lines).toEqual(['LIVE', ...log.slice(joined.length)]);
});
