import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { openStorage, type Storage, sql } from '../../../src/storage/database.ts';
import { migrate } from '../../../src/storage/migrate.ts';
import type { Cursor } from '../../../src/stream/log/cursor.ts';
import { type LogGap, type LogPage, readLogHead, readLogPage, readLogTail } from '../../../src/stream/log/log.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  insertDeliveries,
  insertNotification,
  insertUser,
  listLog,
  setStatus,
  toLine,
} from '../../support/log-events.ts';
import { firstDay, listDays, rotateOn } from '../../support/log-rotation.ts';
import { makeTemporaryDirectory } from '../../support/temporary-directory.ts';

let database: TestDatabase;
let storage: Storage;
let pool: pg.Pool;

beforeEach(() => openDatabase());
afterEach(async () => {
  await storage.close();
  await database.drop();
});

async function openDatabase(options = {}): Promise<void> {
  database = await createTestDatabase(options);
  storage = openStorage(database.url);
  ({ pool } = storage);
}

/** Begins the partition of each day, and writes three events into it, one after the other. */
async function writeOnDays(days: readonly number[], topic: { notificationId: string; userId?: string }): Promise<void> {
  for (const day of days) {
    await rotateOn(pool, day);
    for (let index = 0; index < 3; index += 1) await insertDeliveries(pool, topic);
  }
}

/** What lies behind `after`, read page by page. */
async function readThrough(
  after: Cursor | null,
  readPage: (after: Cursor | null) => Promise<LogPage | LogGap>,
): Promise<string[]> {
  const lines: string[] = [];
  let place = after;
  for (let hasMore = true; hasMore; ) {
    const page = await readPage(place);
    if (page.kind === 'gap') throw new Error('The page is a gap.');
    lines.push(...page.entries.map(toLine));
    ({ completeThrough: place, hasMore } = page);
  }
  return lines;
}

/** The places right behind all events of the log, in order. */
async function listPlaces(): Promise<Cursor[]> {
  const { epoch } = await readLogHead(pool);
  const { rows } = await pool.query<{ position: string; tag: number }>(
    'select position, tag from delivery_events order by position',
  );
  return rows.map(({ position, tag }) => ({ epoch, position: BigInt(position), tag }));
}

const tailOfAll = { isEverything: true, notificationIds: [], userIds: [], withUsers: true, watchedIds: [] };

async function isPlace(after: Cursor): Promise<boolean> {
  const [page, tail] = [
    await readLogPage(pool, {}, { after, limit: 5 }),
    await readLogTail(pool, tailOfAll, { after, limit: 5 }),
  ];
  expect(tail.kind).toBe(page.kind);
  return page.kind === 'page';
}

test('pages of any size over several partitions are the log in its order', async () => {
  const [notificationId, userId] = [await insertNotification(pool), await insertUser(pool)];
  await insertDeliveries(pool, { notificationId, userId });
  await writeOnDays([firstDay, firstDay + 1, firstDay + 5], { notificationId, userId });
  const log = await listLog(pool);
  const [first = null] = await listPlaces();
  for (const limit of [1, 2, 4, 100]) {
    for (const topic of [{}, { notificationId }, { userId }, { notificationId, userId }]) {
      expect(await readThrough(null, (after) => readLogPage(pool, topic, { after, limit }))).toEqual(log);
    }
    const tail = await readThrough(first, async (after) => {
      if (!after) throw new Error('A tail begins somewhere.');
      const page = await readLogTail(pool, tailOfAll, { after, limit });
      return page.kind === 'gap' ? page : { ...page, entries: page.entries.map(({ entry }) => entry) };
    });
    expect(tail).toEqual(log.slice(1));
  }
  expect(log).toHaveLength(10);
});

test('what retention has dropped is a gap; the place of the last event dropped is not, nor is any behind it', async () => {
  const notificationId = await insertNotification(pool);
  await writeOnDays([firstDay, firstDay + 1, firstDay + 2], { notificationId });
  const [places, log] = [await listPlaces(), await listLog(pool)];
  await rotateOn(pool, firstDay + 13);
  expect(await listDays(pool)).toEqual([firstDay + 2, firstDay + 13]);
  const answers = [];
  for (const place of places) answers.push(await isPlace(place));
  expect(answers).toEqual([false, false, false, false, false, true, true, true, true]);
  for (const [index, after] of places.entries()) {
    if (index < 5) continue;
    const rest = await readThrough(after, (place) => readLogPage(pool, {}, { after: place, limit: 2 }));
    expect(rest).toEqual(log.slice(index + 1));
  }
});

test('a gap tells where what is kept begins, which is a place, and no other event of that position is', async () => {
  await writeOnDays([firstDay, firstDay + 1], { notificationId: await insertNotification(pool) });
  const [first, , last] = await listPlaces();
  await rotateOn(pool, firstDay + 20);
  const page = await readLogPage(pool, {}, { after: first ?? null, limit: 5 });
  expect(page).toMatchObject({ kind: 'gap', oldest: last });
  if (!last) throw new Error('There is no such event.');
  for (const tag of [last.tag ^ 1, 0]) expect(await isPlace({ ...last, tag })).toBe(false);
});

test('a log of which only an empty partition is left ends behind the last event dropped', async () => {
  await writeOnDays([firstDay], { notificationId: await insertNotification(pool) });
  const beginning = { epoch: (await readLogHead(pool)).epoch, position: 0n, tag: 0 };
  const last = (await listPlaces()).at(-1);
  expect(await isPlace(beginning)).toBe(true);
  await rotateOn(pool, firstDay + 1);
  // An empty one in between, too.
  await rotateOn(pool, firstDay + 40);
  await rotateOn(pool, firstDay + 80);
  expect(await listDays(pool)).toEqual([firstDay + 40, firstDay + 80]);
  expect(await readLogHead(pool)).toMatchObject({ ...last, oldestPosition: (last?.position ?? 0n) + 1n });
  expect(await isPlace(beginning)).toBe(false);
  const [deliveryId] = await insertDeliveries(pool, { notificationId: await insertNotification(pool) });
  const page = await readLogPage(pool, {}, { after: last ?? null, limit: 5 });
  expect(page).toMatchObject({ kind: 'page', entries: [{ deliveryId }] });
});

test.each([
  'truncate delivery_events',
  'truncate delivery_events restart identity',
])('a log that was emptied by "%s" is another one, which goes on at higher positions', async (statement) => {
  const nothingYet = await readLogHead(pool);
  await writeOnDays([firstDay, firstDay + 1], { notificationId: await insertNotification(pool) });
  const places = await listPlaces();
  await pool.query(statement);
  const emptied = await readLogHead(pool);
  const ids = await insertDeliveries(pool, { notificationId: await insertNotification(pool), count: 9 });
  for (const place of [nothingYet, ...places]) expect(await isPlace(place)).toBe(false);
  const page = await readLogPage(pool, {}, { after: emptied, limit: 50 });
  expect(page).toMatchObject({ kind: 'page', entries: ids.map((deliveryId) => ({ deliveryId })) });
});

const scanNode = z.object({ 'Node Type': z.string(), 'Relation Name': z.string(), 'Actual Loops': z.number() });

/** The partitions that PostgreSQL plans a read for, those that it then looks into, and how. */
async function explain(
  read: () => Promise<unknown>,
): Promise<{ planned: string[]; executed: string[]; how: string[] }> {
  const query = vi.spyOn(pool, 'query');
  await read();
  const { text, values } = z.object({ text: z.string(), values: z.array(z.unknown()) }).parse(query.mock.calls[0]?.[0]);
  query.mockRestore();
  const { rows } = await pool.query<{ 'QUERY PLAN': unknown }>(`explain (analyze, format json) ${text}`, values);
  const scans: z.infer<typeof scanNode>[] = [];
  const visit = (node: unknown) => {
    if (typeof node !== 'object' || node === null) return;
    const scan = scanNode.safeParse(node).data;
    if (scan?.['Relation Name'].startsWith('delivery_events')) scans.push(scan);
    Object.values(node).forEach(visit);
  };
  visit(rows[0]?.['QUERY PLAN']);
  const executed = scans.filter((scan) => scan['Actual Loops'] > 0);
  const namesOf = (some: typeof scans) => [...new Set(some.map((scan) => scan['Relation Name']))].sort();
  const how = [...new Set(executed.map((scan) => scan['Node Type']))];
  return { planned: namesOf(scans), executed: namesOf(executed), how };
}

/** Four days with a thousand events each. */
async function fillFourDays(): Promise<{ notificationId: string; userId: string; places: Cursor[] }> {
  const [notificationId, userId] = [crypto.randomUUID(), crypto.randomUUID()];
  for (const day of [firstDay, firstDay + 1, firstDay + 2, firstDay + 3]) {
    await rotateOn(pool, day);
    await pool.query(sql`
      insert into delivery_events (delivery_id, notification_id, user_id, status, at)
      select gen_random_uuid(), ${notificationId}::uuid, ${userId}::uuid, 'QUEUED', now() from generate_series(1, 1000)`);
  }
  await pool.query('analyze delivery_events');
  return { notificationId, userId, places: await listPlaces() };
}

test('a read at the end of the log looks into the newest partition only, by its indexes', async () => {
  const { notificationId, userId, places } = await fillFourDays();
  const [after] = places.slice(-20);
  if (!after) throw new Error('There are too few events.');
  const newest = ['delivery_events_20241007'];
  const expected = { planned: newest, executed: newest, how: [expect.stringContaining('Index')] };
  const topics = { isEverything: false, notificationIds: [notificationId], userIds: [userId] };
  for (const tail of [tailOfAll, { ...tailOfAll, ...topics, watchedIds: [notificationId] }]) {
    expect(await explain(() => readLogTail(pool, tail, { after, limit: 500 }))).toEqual(expected);
  }
  for (const topic of [{}, { notificationId }, { userId }]) {
    expect(await explain(() => readLogPage(pool, topic, { after, limit: 500 }))).toEqual(expected);
  }
});

test('a page of a replay looks only into the partitions that it is from, and for the end into the newest', async () => {
  const { notificationId, userId, places } = await fillFourDays();
  const after = places[900] ?? null;
  for (const topic of [{}, { notificationId }, { userId }]) {
    const { executed } = await explain(() => readLogPage(pool, topic, { after, limit: 500 }));
    expect(executed).toEqual(['delivery_events_20241004', 'delivery_events_20241005', 'delivery_events_20241007']);
  }
});

test('events and cursors of before the log had partitions are the same after', async () => {
  await storage.close();
  await database.drop();
  await openDatabase({ migrated: false });
  const migrations = fileURLToPath(new URL('../../../prisma/migrations/', import.meta.url));
  const earlier = await makeTemporaryDirectory();
  for (const name of ['20261122000000_first_light', '20261122000100_delivery_log']) {
    await cp(join(migrations, name), join(earlier.path, name), { recursive: true });
  }
  await migrate(database.url, earlier.path);
  await earlier.remove();
  const notificationId = await insertNotification(pool);
  const ids = await insertDeliveries(pool, { notificationId, count: 4 });
  await setStatus(pool, ids, 'SENT');
  const log = await listLog(pool);
  await migrate(database.url);
  const places = await listPlaces();
  await rotateOn(pool, firstDay);
  await setStatus(pool, ids, 'DELIVERED');
  const grown = await listLog(pool);
  expect(grown.slice(0, 8)).toEqual(log);
  expect(grown).toHaveLength(12);
  for (const [index, after] of places.entries()) {
    const rest = await readThrough(after, (place) => readLogPage(pool, {}, { after: place, limit: 3 }));
    expect(rest).toEqual(grown.slice(index + 1));
  }
});
