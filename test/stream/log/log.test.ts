import { expect, test } from 'vitest';
import type { Cursor } from '../../../src/stream/log/cursor.ts';
import { type LogPage, readLogHead, readLogPage, readLogTail } from '../../../src/stream/log/log.ts';
import type { Topic } from '../../../src/stream/log/log-query.ts';
import { useDatabase } from '../../support/database.ts';
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
async function readPage(topic: Topic, after: Cursor | null, limit = 500): Promise<LogPage> {
  const page = await readLogPage(database.pool, topic, { after, limit });
  if (page.kind === 'gap') throw new Error('The page is a gap.');
  return page;
}

test('an empty log has a head, which is a place that nothing is missed from', async () => {
  const head = await readLogHead(database.pool);
  expect(head).toMatchObject({ position: 0n, tag: 0, oldestPosition: 1n });
  const notificationId = await insertNotification(database.pool);
  await insertDeliveries(database.pool, { notificationId, count: 2 });
  const page = await readPage({}, head);
  expect(page.entries).toHaveLength(2);
});

/** What may have become of a log of which 3 of 5 events are in a backup. `first` is the position of the fourth. */
const restores: [string, (first: bigint) => Promise<void>, number][] = [
  ['restored to before them', restore, 0],
  [
    'restored to before them, and others have taken their positions',
    async (first) => {
      await restore(first);
      await insertDeliveries(database.pool, { notificationId: await insertNotification(database.pool), count: 4 });
    },
    4,
  ],
];

async function restore(first: bigint): Promise<void> {
  await database.pool.query('delete from delivery_events where position >= $1', [first]);
  await database.pool.query("select setval('delivery_events_position_seq', $1, false)", [first]);
}

test.each(
  restores,
)('cursors of events are a gap when the log was %s; those of before go on', async (_, damage, count) => {
  const { pool } = database;
  const notificationId = await insertNotification(pool);
  const start = await readLogHead(pool);
  await insertDeliveries(pool, { notificationId, count: 5 });
  const { entries } = await readPage({}, start);
  const cursors = entries.map(({ position, tag }) => ({ epoch: start.epoch, position, tag }));
  await damage(entries[3]?.position ?? 0n);
  const tail = { isEverything: true, notificationIds: [], userIds: [], withUsers: false, watchedIds: [] };
  for (const [index, after] of cursors.entries()) {
    const kind = index < 3 ? 'page' : 'gap';
    expect(await readLogPage(pool, {}, { after, limit: 50 })).toMatchObject({ kind });
    expect(await readLogTail(pool, tail, { after, limit: 50 })).toMatchObject({ kind });
  }
  expect((await readPage({}, cursors[2] ?? null)).entries).toHaveLength(count);
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
