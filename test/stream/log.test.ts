import pg from 'pg';
import { afterEach, expect, test, vi } from 'vitest';
import type { Cursor } from '../../src/stream/cursor.ts';
import { type LogPage, readLogHead, readLogPage, type Topic } from '../../src/stream/log.ts';
import { createTestDatabase, useDatabase } from '../support/database.ts';
import {
  insertDeliveries,
  insertNotification,
  insertUser,
  listLog,
  mergeUser,
  setStatus,
  toLine,
} from '../support/log-events.ts';

const database = useDatabase();
const opened: pg.Client[] = [];

afterEach(async () => {
  for (const client of opened.splice(0)) await client.end();
});

async function connect(url = database.url): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  opened.push(client);
  return client;
}

async function readPage(topic: Topic, after: Cursor | null, limit = 500): Promise<LogPage> {
  const page = await readLogPage(database.pool, topic, { after, limit });
  if (page.kind === 'gap') throw new Error('The page is a gap.');
  return page;
}

async function isWaitingForLock(processId: number): Promise<boolean> {
  const { rows } = await database.pool.query('select from pg_locks where pid = $1 and locktype = $2 and not granted', [
    processId,
    'advisory',
  ]);
  return rows.length > 0;
}

async function processIdOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}

test('an empty log has a head, which is a place that nothing is missed from', async () => {
  const head = await readLogHead(database.pool);
  expect(head).toMatchObject({ position: 0n, tag: 0, oldestPosition: 1n });
  const notificationId = await insertNotification(database.pool);
  await insertDeliveries(database.pool, { notificationId, count: 2 });
  const page = await readPage({}, head);
  expect(page.entries).toHaveLength(2);
});

test('a writer that appends waits until the one before it has committed, so no position appears late', async () => {
  const notificationId = await insertNotification(database.pool);
  const head = await readLogHead(database.pool);
  const [first, second] = [await connect(), await connect()];
  await first.query('begin');
  const [firstId] = await insertDeliveries(first, { notificationId });
  const secondPid = await processIdOf(second);
  const secondInsert = insertDeliveries(second, { notificationId });
  await vi.waitUntil(() => isWaitingForLock(secondPid), { timeout: 20_000 });
  const before = await readPage({ notificationId }, head);
  expect(before.entries).toEqual([]);
  await first.query('commit');
  const [secondId] = await secondInsert;
  const after = await readPage({ notificationId }, before.completeThrough);
  expect(after.entries.map(({ deliveryId }) => deliveryId)).toEqual([firstId, secondId]);
});

test('a writer that rolls back leaves a hole that hides nothing', async () => {
  const notificationId = await insertNotification(database.pool);
  const head = await readLogHead(database.pool);
  const writer = await connect();
  await writer.query('begin');
  await insertDeliveries(writer, { notificationId, count: 3 });
  await writer.query('rollback');
  const [deliveryId] = await insertDeliveries(database.pool, { notificationId });
  const page = await readPage({ notificationId }, head);
  expect(page.entries.map((entry) => entry.deliveryId)).toEqual([deliveryId]);
  expect(page.completeThrough.position).toBeGreaterThan(head.position + 1n);
});

test('transactions that stay open before their append, here and in another database, hold no stream up', async () => {
  const other = await createTestDatabase();
  const notificationId = await insertNotification(database.pool);
  const head = await readLogHead(database.pool);
  const [here, elsewhere] = [await connect(), await connect(other.url)];
  try {
    for (const client of [here, elsewhere]) {
      await client.query('begin');
      await insertUser(client);
    }
    const [early] = await insertDeliveries(database.pool, { notificationId });
    const page = await readPage({ notificationId }, head);
    expect(page.entries.map((entry) => entry.deliveryId)).toEqual([early]);
    // The oldest transaction appends last: its event comes after what was read.
    const [late] = await insertDeliveries(here, { notificationId });
    await here.query('commit');
    const rest = await readPage({ notificationId }, page.completeThrough);
    expect(rest.entries.map((entry) => entry.deliveryId)).toEqual([late]);
  } finally {
    await elsewhere.end();
    opened.splice(opened.indexOf(elsewhere), 1);
    await other.drop();
  }
});

test('with writers that commit in every order, a reader that asks for what lies above its place gets everything once', async () => {
  const notificationId = await insertNotification(database.pool);
  let place: Cursor = await readLogHead(database.pool);
  const writers = await Promise.all(Array.from({ length: 6 }, () => connect()));
  let writing = writers.length;
  const done = writers.map(async (writer, index) => {
    for (let round = 0; round < 30; round += 1) {
      await writer.query('begin');
      if ((round + index) % 3 === 0) await insertUser(writer);
      const ids = await insertDeliveries(writer, { notificationId, count: 1 + ((round * index) % 4) });
      if (round % 2 === 0) await setStatus(writer, ids, 'SENT');
      await writer.query(round % 7 === 6 ? 'rollback' : 'commit');
    }
    writing -= 1;
  });
  const read: string[] = [];
  for (;;) {
    const isLast = writing === 0;
    const page = await readPage({ notificationId }, place, 50);
    read.push(...page.entries.map(toLine));
    place = page.completeThrough;
    if (isLast && !page.hasMore) break;
  }
  await Promise.all(done);
  expect(read).toEqual(await listLog(database.pool, notificationId));
  expect(read.length).toBeGreaterThan(200);
});

test('an entry says what happened, to which delivery, of whom', async () => {
  const { pool } = database;
  const [notificationId, userId] = [await insertNotification(pool), await insertUser(pool)];
  const [deliveryId] = await insertDeliveries(pool, { notificationId, userId });
  await pool.query("update deliveries set status = 'FAILED', reason = 'NO_ADDRESS' where id = $1", [deliveryId]);
  const page = await readPage({ notificationId }, null);
  expect(page.entries).toEqual([
    expect.objectContaining({
      deliveryId,
      notificationId,
      userId,
      status: 'QUEUED',
      reason: null,
      at: expect.any(Date),
    }),
    expect.objectContaining({ deliveryId, notificationId, userId, status: 'FAILED', reason: 'NO_ADDRESS' }),
  ]);
});

test('taking a claim and giving it back is no event', async () => {
  const { pool } = database;
  const notificationId = await insertNotification(pool);
  const ids = await insertDeliveries(pool, { notificationId });
  const { completeThrough } = await readPage({ notificationId }, null);
  await setStatus(pool, ids, 'SENDING');
  await setStatus(pool, ids, 'QUEUED');
  const page = await readPage({ notificationId }, completeThrough);
  expect(page).toMatchObject({ entries: [], completeThrough });
});

test('pages of any size join without a seam', async () => {
  const { pool } = database;
  const notificationId = await insertNotification(pool);
  await insertDeliveries(pool, { notificationId, count: 10 });
  const read: string[] = [];
  let place: Cursor | null = null;
  for (let hasMore = true; hasMore; ) {
    const page: LogPage = await readPage({ notificationId }, place, 3);
    read.push(...page.entries.map(toLine));
    ({ completeThrough: place, hasMore } = page);
  }
  expect(read).toEqual(await listLog(pool, notificationId));
});

test('a topic of a notification and a user holds only what is of both', async () => {
  const { pool } = database;
  const [notificationId, otherId] = [await insertNotification(pool), await insertNotification(pool)];
  const [userId, otherUserId] = [await insertUser(pool), await insertUser(pool)];
  const [wanted] = await insertDeliveries(pool, { notificationId, userId });
  await insertDeliveries(pool, { notificationId, userId: otherUserId });
  const [elsewhere] = await insertDeliveries(pool, { notificationId: otherId, userId });
  const both = await readPage({ notificationId, userId }, null);
  const ofUser = await readPage({ userId }, null);
  expect(both.entries.map(({ deliveryId }) => deliveryId)).toEqual([wanted]);
  expect(ofUser.entries.map(({ deliveryId }) => deliveryId)).toEqual([wanted, elsewhere]);
});

test('the topic of a merged user, of its survivor and of another tombstone are the same', async () => {
  const { pool } = database;
  const notificationId = await insertNotification(pool);
  const [survivor, merged, mergedToo] = [await insertUser(pool), await insertUser(pool), await insertUser(pool)];
  const ids: string[] = [];
  for (const userId of [merged, survivor, mergedToo])
    ids.push(...(await insertDeliveries(pool, { notificationId, userId })));
  for (const user of [merged, mergedToo]) await mergeUser(pool, { merged: user, survivor });
  for (const userId of [survivor, merged, mergedToo]) {
    const page = await readPage({ userId }, null);
    expect(page.entries.map(({ deliveryId }) => deliveryId)).toEqual(ids);
  }
});

test('a user that was erased keeps its topic', async () => {
  const { pool } = database;
  const userId = crypto.randomUUID();
  const [deliveryId] = await insertDeliveries(pool, { notificationId: await insertNotification(pool), userId });
  const page = await readPage({ userId }, null);
  expect(page.entries.map((entry) => entry.deliveryId)).toEqual([deliveryId]);
});
