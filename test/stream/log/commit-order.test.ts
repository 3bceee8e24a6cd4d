import { setImmediate as nextTurn } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import type { Cursor } from '../../../src/stream/log/cursor.ts';
import { type LogPage, readLogHead, readLogPage } from '../../../src/stream/log/log.ts';
import { createTestDatabase, useDatabase } from '../../support/database.ts';
import {
  insertDeliveries,
  insertNotification,
  insertUser,
  listLog,
  setStatus,
  toLine,
} from '../../support/log-events.ts';
import { firstDay, listDays, rotateOn } from '../../support/log-rotation.ts';
import { until } from '../../support/until.ts';

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

async function readPage(notificationId: string, after: Cursor, limit = 500): Promise<LogPage> {
  const page = await readLogPage(database.pool, { notificationId }, { after, limit });
  if (page.kind === 'gap') throw new Error('The page is a gap.');
  return page;
}

async function isWaitingForLock(processId: number): Promise<boolean> {
  const { rowCount } = await database.pool.query('select from pg_locks where pid = $1 and not granted', [processId]);
  return rowCount !== 0;
}

async function processIdOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}

test('a writer that appends waits until the one before it has committed, so no position appears late', async () => {
  const notificationId = await insertNotification(database.pool);
  const head = await readLogHead(database.pool);
  const [first, second] = [await connect(), await connect()];
  await first.query('begin');
  const [firstId] = await insertDeliveries(first, { notificationId });
  const secondPid = await processIdOf(second);
  const secondInsert = insertDeliveries(second, { notificationId });
  await until(() => isWaitingForLock(secondPid));
  const before = await readPage(notificationId, head);
  expect(before.entries).toEqual([]);
  await first.query('commit');
  const [secondId] = await secondInsert;
  const after = await readPage(notificationId, before.completeThrough);
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
  const page = await readPage(notificationId, head);
  expect(page.entries.map((entry) => entry.deliveryId)).toEqual([deliveryId]);
  expect(page.completeThrough.position).toBeGreaterThan(head.position + 1n);
});

const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

test('in whatever order writers append and commit, each event is read once, when it is committed, in the order of the log', async () => {
  const other = await createTestDatabase();
  const elsewhere = await connect(other.url);
  const { pool } = database;
  const notificationId = await insertNotification(pool);
  const early = await connect();
  const writers = [await connectWriter(), await connectWriter(), await connectWriter()];
  const read: string[] = [];
  let place: Cursor = await readLogHead(pool);
  const readNew = async () => {
    const page = await readPage(notificationId, place);
    place = page.completeThrough;
    read.push(...page.entries.map(toLine));
    return page.entries.map(({ deliveryId }) => deliveryId);
  };
  try {
    // Open before their append from before all others begin until after they have ended.
    for (const client of [early, elsewhere]) await beginWriting(client);
    for (const [index, order] of orders.entries()) {
      for (const { client } of writers) await beginWriting(client);
      const appended: { client: pg.Client; ids: string[] }[] = [];
      for (const { client, processId } of order.flatMap((number) => writers[number] ?? [])) {
        const append = insertDeliveries(client, { notificationId, count: 2 }).then((ids) => {
          appended.push({ client, ids });
        });
        await until(async () => (await isWaitingForLock(processId)) || (await isSettled(append)));
      }
      const rotation = rotateOn(pool, firstDay + index);
      expect(await readNew()).toEqual([]);
      for (const _ of order) {
        // Of those that have appended, the last one first.
        const { client, ids } = await until(async () => appended.pop() ?? null);
        await client.query('commit');
        expect(await readNew()).toEqual(ids);
      }
      await rotation;
    }
    const [late] = await insertDeliveries(early, { notificationId });
    await early.query('commit');
    expect(await readNew()).toEqual([late]);
    expect(read).toEqual(await listLog(pool, notificationId));
    expect((await listDays(pool)).length).toBeGreaterThan(2);
  } finally {
    await elsewhere.end();
    opened.splice(opened.indexOf(elsewhere), 1);
    await other.drop();
  }
});

async function connectWriter(): Promise<{ client: pg.Client; processId: number }> {
  const client = await connect();
  return { client, processId: await processIdOf(client) };
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  return (await Promise.race([promise.then(() => true), nextTurn(false)])) === true;
}

/** Begins a transaction that has an id of its own. */
async function beginWriting(client: pg.Client): Promise<void> {
  await client.query('begin');
  await insertUser(client);
}

test('while writers come and go and partitions begin, a reader that asks for what lies above its place gets everything once', async () => {
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
      if (index === 0 && round % 4 === 0) await rotateOn(database.pool, firstDay + 50 + round / 4);
    }
    writing -= 1;
  });
  const read: string[] = [];
  for (;;) {
    const isLast = writing === 0;
    const page = await readPage(notificationId, place, 50);
    read.push(...page.entries.map(toLine));
    place = page.completeThrough;
    if (isLast && !page.hasMore) break;
  }
  await Promise.all(done);
  expect(read).toEqual(await listLog(database.pool, notificationId));
  expect(read.length).toBeGreaterThan(200);
});
