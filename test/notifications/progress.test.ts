import { afterEach, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { type Progress, readProgress, readProgressOf } from '../../src/notifications/progress.ts';
import { openStorage } from '../../src/storage/database.ts';
import type { Stream } from '../../src/stream/hub/open-stream.ts';
import { createTestDatabase, useDatabase } from '../support/database.ts';
import { insertDeliveries, insertNotification, setStatus } from '../support/log-events.ts';
import {
  collectTotals,
  countRowsReadPerItem,
  finishFanOut,
  insertLargeNotification,
  openProgressWatch,
  type ProgressWatch,
} from '../support/progress-watch.ts';

const database = useDatabase();
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of opened.splice(0).reverse()) await part.close();
});

function openParts(): ProgressWatch {
  const parts = openProgressWatch(database.url);
  opened.push(parts);
  return parts;
}

async function readAll(stream: Stream<Progress>): Promise<Progress[]> {
  const all: Progress[] = [];
  for await (const progress of stream) all.push(progress);
  return all;
}

/** What the counts that exclude each other add up to. */
function sumOf({ total, reached, isComplete, ...counts }: Progress): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

const nothing = {
  ...{ total: 0, queued: 0, sending: 0, sent: 0, delivered: 0, opened: 0, clicked: 0 },
  ...{ failed: 0, bounced: 0, discarded: 0, expired: 0, cancelled: 0 },
  reached: { sent: 0, delivered: 0, opened: 0, clicked: 0 },
  isComplete: false,
};

test('each delivery counts where it is, and as reached wherever it has been', async () => {
  const notificationId = await insertNotification(database.pool);
  const ids = await insertDeliveries(database.pool, { notificationId, count: 10 });
  await setStatus(database.pool, ids.slice(0, 1), 'SENDING');
  await setStatus(database.pool, ids.slice(1, 3), 'SENT');
  await setStatus(database.pool, ids.slice(3, 4), 'DELIVERED');
  await setStatus(database.pool, ids.slice(4, 5), 'SENT');
  await setStatus(database.pool, ids.slice(4, 5), 'CLICKED');
  await setStatus(database.pool, ids.slice(5, 6), 'SENT');
  await setStatus(database.pool, ids.slice(5, 6), 'BOUNCED');
  await setStatus(database.pool, ids.slice(6, 7), 'CANCELLED');
  expect(await readProgress(database.db, notificationId)).toEqual({
    ...nothing,
    ...{ total: 10, queued: 3, sending: 1, sent: 2, delivered: 1, clicked: 1, bounced: 1, cancelled: 1 },
    reached: { sent: 5, delivered: 2, opened: 1, clicked: 1 },
  });
});

test('several are read in the order asked for; what does not exist is null', async () => {
  const [first, second] = [await insertNotification(database.pool), await insertNotification(database.pool)];
  await insertDeliveries(database.pool, { notificationId: second, count: 2 });
  await finishFanOut(database, first);
  const all = await readProgressOf(database.db, [second, newId(), first, second]);
  expect(all).toEqual([
    { ...nothing, total: 2, queued: 2 },
    null,
    { ...nothing, isComplete: true },
    { ...nothing, total: 2, queued: 2 },
  ]);
  expect(await readProgress(database.db, newId())).toBeNull();
});

test.each([
  ['the fan-out goes on', { isFannedOut: false, status: 'SENT' } as const, false],
  ['one is queued', { isFannedOut: true, status: 'QUEUED' } as const, false],
  ['one is being sent', { isFannedOut: true, status: 'SENDING' } as const, false],
  ['all are sent', { isFannedOut: true, status: 'SENT' } as const, true],
  ['all have failed', { isFannedOut: true, status: 'FAILED' } as const, true],
])('when %s, it is said whether that is all: %o', async (_, { isFannedOut, status }, isComplete) => {
  const notificationId = await insertNotification(database.pool);
  const ids = await insertDeliveries(database.pool, { notificationId });
  if (status !== 'QUEUED') await setStatus(database.pool, ids, status);
  if (isFannedOut) await finishFanOut(database, notificationId);
  expect(await readProgress(database.db, notificationId)).toMatchObject({ isComplete });
});

test('a stream of totals ends after the last, whose counts add up to the total', async () => {
  const { bus, watch } = openParts();
  const notificationId = await insertNotification(database.pool);
  const all = readAll(watch(notificationId));
  for (let page = 0; page < 20; page += 1) {
    const ids = await insertDeliveries(database.pool, { notificationId, count: 25 });
    bus.wake();
    await setStatus(database.pool, ids.slice(0, 20), 'SENT');
    await setStatus(database.pool, ids.slice(20), 'FAILED');
    bus.wake();
  }
  await finishFanOut(database, notificationId);
  bus.wake();
  const totals = await all;
  expect(totals.at(-1)).toEqual({
    ...nothing,
    ...{ total: 500, sent: 400, failed: 100 },
    reached: { ...nothing.reached, sent: 400 },
    isComplete: true,
  });
  for (const progress of totals) expect(sumOf(progress)).toBe(progress.total);
  for (const progress of totals.slice(0, -1)) expect(progress.isComplete).toBe(false);
});

test('a notification that is complete is told once', async () => {
  const { watch } = openParts();
  const notificationId = await insertNotification(database.pool);
  await finishFanOut(database, notificationId);
  expect(await readAll(watch(notificationId))).toEqual([{ ...nothing, isComplete: true }]);
});

test('a stream of totals of no notification ends without a word', async () => {
  const { watch } = openParts();
  expect(await readAll(watch(newId()))).toEqual([]);
});

test('what changes without an event and without a wake-up is told all the same', async () => {
  const { watch } = openParts();
  const notificationId = await insertNotification(database.pool);
  const ids = await insertDeliveries(database.pool, { notificationId });
  const stream = watch(notificationId);
  await stream.next();
  await setStatus(database.pool, ids, 'SENDING');
  expect(await stream.next()).toMatchObject({ value: { queued: 0, sending: 1 } });
});

test('totals that stay the same are told once, and a burst of changes as its last', async () => {
  const { bus, watch } = openParts();
  const notificationId = await insertNotification(database.pool);
  const stream = watch(notificationId);
  await stream.next();
  for (let count = 0; count < 50; count += 1) {
    await insertDeliveries(database.pool, { notificationId });
    bus.wake();
  }
  const told: number[] = [];
  while (told.at(-1) !== 50) told.push((await stream.next()).value?.total ?? 50);
  expect(told).toEqual(told.toSorted((a, b) => a - b));
  expect(new Set(told).size).toBe(told.length);
  // One read from the middle of the burst, one that was under way at its end, and the last.
  expect(told.length).toBeLessThanOrEqual(3);
});

test('a thousand who look at one notification share the reads', async () => {
  const { bus, storage, watch } = openParts();
  const notificationId = await insertNotification(database.pool);
  const ids = await insertDeliveries(database.pool, { notificationId, count: 10 });
  await finishFanOut(database, notificationId);
  let reads = 0;
  storage.pool.on('acquire', () => {
    reads += 1;
  });
  const all = Array.from({ length: 1_000 }, () => watch(notificationId));
  await Promise.all(all.map((stream) => stream.next()));
  const rest = all.map(readAll);
  for (const id of ids) {
    await setStatus(database.pool, [id], 'SENT');
    bus.wake();
  }
  for (const totals of await Promise.all(rest))
    expect(totals.at(-1)).toMatchObject({ total: 10, sent: 10, isComplete: true });
  expect(reads).toBeLessThan(100);
});

test.each(['return', 'abort', 'close'])('%s ends a stream of totals that waits', async (how) => {
  const { hub, watch } = openParts();
  const notificationId = await insertNotification(database.pool);
  const ending = new AbortController();
  const stream = watch(notificationId, ending.signal);
  await stream.next();
  const next = stream.next();
  if (how === 'return') await stream.return();
  if (how === 'abort') ending.abort();
  if (how === 'close') await hub.close();
  expect(await next).toEqual({ done: true, value: undefined });
});

test('who comes while the last one leaves is told the totals and their changes, at whatever moment', async () => {
  const { bus, watch } = openParts();
  const notificationId = await insertNotification(database.pool);
  for (let turns = 0; turns < 8; turns += 1) {
    const first = watch(notificationId);
    await first.next();
    const leaving = first.return();
    for (let turn = 0; turn < turns; turn += 1) await null;
    const second = watch(notificationId);
    expect(await second.next()).toMatchObject({ value: { total: turns } });
    await insertDeliveries(database.pool, { notificationId });
    bus.wake();
    expect(await second.next()).toMatchObject({ value: { total: turns + 1 } });
    await Promise.all([leaving, second.return()]);
  }
});

test('totals are told at most four times a second, however often they change', async () => {
  const { bus, storage, watch } = openParts();
  const { notificationId, queuedIds } = await insertLargeNotification(storage, { sentCount: 0, queuedCount: 300 });
  const collecting = collectTotals(watch(notificationId));
  for (const id of queuedIds) {
    await setStatus(storage.pool, [id], 'SENT');
    bus.wake();
  }
  const { items, itemsMax } = await collecting;
  expect(items.length).toBeLessThanOrEqual(itemsMax);
  expect(items.at(-1)).toMatchObject({ total: 300, sent: 300, isComplete: true });
});

test('a viewer who takes its time is told the latest when it looks again, not what it has missed', async () => {
  const { bus, storage, watch } = openParts();
  const { notificationId, queuedIds } = await insertLargeNotification(storage, { sentCount: 0, queuedCount: 3 });
  const [slow, quick] = [watch(notificationId), watch(notificationId)];
  await slow.next();
  await quick.next();
  for (const id of queuedIds) {
    await setStatus(storage.pool, [id], 'SENT');
    bus.wake();
    await quick.next();
  }
  expect(await readAll(slow)).toMatchObject([{ sent: 3, isComplete: true }]);
});

test('what is read for the totals does not grow with the notification', async () => {
  const { url, drop } = await createTestDatabase();
  const storage = openStorage(url);
  const large = await insertLargeNotification(storage, { sentCount: 20_000, queuedCount: 5 });
  await storage.close();
  expect(await countRowsReadPerItem(url, large)).toBeLessThan(100);
  await drop();
});
