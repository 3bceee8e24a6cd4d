import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStorage, type Storage } from '../../../src/storage/database.ts';
import { createInProcessBus } from '../../../src/stream/bus/in-process-bus.ts';
import type { StreamItem } from '../../../src/stream/hub/event-stream.ts';
import { createHub } from '../../../src/stream/hub/hub.ts';
import type { Stream } from '../../../src/stream/hub/open-stream.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { take, takeLines } from '../../support/hubs.ts';
import {
  createTestLog,
  insertDeliveries,
  insertNotification,
  listLog,
  setStatus,
  toLine,
} from '../../support/log-events.ts';
import { firstDay, listDays, rotateOn } from '../../support/log-rotation.ts';

let database: TestDatabase;
let storage: Storage;
let pool: pg.Pool;
const opened: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  storage = openStorage(database.url, { connectionsMax: 20 });
  ({ pool } = storage);
});
afterEach(async () => {
  for (const part of opened.splice(0).reverse()) await part.close();
  await storage.close();
  await database.drop();
});

function openHub({ pageSize = 3 } = {}) {
  const bus = createInProcessBus();
  const { log, sentences } = createTestLog();
  const hub = createHub({ pool, bus, log, pollMs: 20, pageSize });
  opened.push(hub);
  return { hub, sentences };
}

async function listCursors(stream: Stream<StreamItem>, count: number): Promise<string[]> {
  const cursors: string[] = [];
  while (cursors.length < count) cursors.push((await take(stream)).cursor);
  return cursors;
}

test('after retention a stream begins with the oldest event kept, and only one that has missed some is told a GAP', async () => {
  const { hub } = openHub();
  const notificationId = await insertNotification(pool);
  for (const day of [firstDay, firstDay + 1, firstDay + 2]) {
    await rotateOn(pool, day);
    await insertDeliveries(pool, { notificationId, count: 4 });
  }
  const cursors = await listCursors(hub.events({ notificationId }, { after: '' }), 12);
  await rotateOn(pool, firstDay + 13);
  expect(await listDays(pool)).toEqual([firstDay + 2, firstDay + 13]);
  const kept = await listLog(pool);
  expect(kept).toHaveLength(4);
  const continuations = [
    { after: '', lines: [...kept, 'RECOVERED'] },
    { after: cursors[0], lines: ['GAP', ...kept, 'RECOVERED'] },
    { after: cursors[6], lines: ['GAP', ...kept, 'RECOVERED'] },
    { after: cursors[7], lines: [...kept, 'RECOVERED'] },
    { after: cursors[8], lines: [...kept.slice(1), 'RECOVERED'] },
  ];
  for (const { after, lines } of continuations) {
    expect(await takeLines(hub.events({ notificationId }, { after }), lines.length)).toEqual(lines);
  }
});

test('the cursor of a GAP is a place: who breaks off right behind it is told no other', async () => {
  const { hub } = openHub();
  const notificationId = await insertNotification(pool);
  for (const day of [firstDay, firstDay + 1]) {
    await rotateOn(pool, day);
    await insertDeliveries(pool, { notificationId, count: 2 });
  }
  const [first] = await listCursors(hub.events({}, { after: '' }), 1);
  await rotateOn(pool, firstDay + 12);
  const gap = await take(hub.events({}, { after: first }));
  expect(gap).toMatchObject({ state: 'GAP' });
  expect(await takeLines(hub.events({}, { after: gap.cursor }), 3)).toEqual([...(await listLog(pool)), 'RECOVERED']);
});

/** What a stream that comes back is told until it has caught up, and with which cursor it goes on. */
async function catchUp(stream: Stream<StreamItem>): Promise<{ lines: string[]; cursor: string }> {
  const lines: string[] = [];
  for (;;) {
    const item = await take(stream);
    if (item.kind === 'event') {
      lines.push(toLine(item.entry));
    } else {
      expect(item.state).toBe('RECOVERED');
      await stream.return();
      return { lines, cursor: item.cursor };
    }
  }
}

/** Four writers at once, with 80 events together. */
async function write(notificationId: string): Promise<void> {
  const writers = Array.from({ length: 4 }, async () => {
    for (let round = 0; round < 5; round += 1) {
      const ids = await insertDeliveries(pool, { notificationId, count: 2 });
      await setStatus(pool, ids, 'SENT');
    }
  });
  await Promise.all(writers);
}

test('while partitions begin and go under full flow nobody fails, and nothing is late, lost or repeated', async () => {
  const { hub, sentences } = openHub({ pageSize: 20 });
  const notificationId = await insertNotification(pool);
  const live = hub.events({ notificationId });
  await take(live);
  const written: string[] = [];
  const told: { live: string[]; back: string[] } = { live: [], back: [] };
  const rotated: string[] = [];
  let after = '';
  for (let day = firstDay; day < firstDay + 12; day += 1) {
    const rotations = [rotateOn(pool, day, { retentionDays: 1 }), rotateOn(pool, day, { retentionDays: 1 })];
    const [lines] = await Promise.all([takeLines(live, 80), write(notificationId)]);
    const caughtUp = await catchUp(hub.events({ notificationId }, { after }));
    rotated.push(...(await Promise.all(rotations)).flat());
    told.live.push(...lines);
    told.back.push(...caughtUp.lines);
    after = caughtUp.cursor;
    // The partitions before this one have been told, and may be gone.
    written.push(...(await listLog(pool, notificationId)).slice(-80));
  }
  expect(written).toHaveLength(960);
  expect(told).toEqual({ live: written, back: written });
  expect(rotated.filter((sentence) => sentence.includes('dropped')).length).toBeGreaterThan(5);
  expect(sentences).toEqual([]);
});
