import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startApp } from '../../../src/app.ts';
import { openStorage, type Storage } from '../../../src/storage/database.ts';
import { decideRotation } from '../../../src/stream/log/rotate-log.ts';
import { testConfig } from '../../support/app.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { insertDeliveries, insertNotification, listLog } from '../../support/log-events.ts';
import { firstDay, listDays, rotateOn } from '../../support/log-rotation.ts';
import { until } from '../../support/until.ts';

describe('which partitions there should be', () => {
  test.each([
    ['a log without days begins with today', { days: [0], today: 20_000, retentionDays: 30 }, { isDue: true }],
    ['a log without partitions begins one', { days: [], today: 20_000, retentionDays: 30 }, { isDue: true }],
    ['one a day is enough', { days: [0, 20_000], today: 20_000, retentionDays: 1 }, { isDue: false }],
    ['a new one a day where little is kept', { days: [0, 20_000], today: 20_001, retentionDays: 10 }, { isDue: true }],
    ['fewer where much is kept', { days: [0, 20_000], today: 20_002, retentionDays: 30 }, { isDue: false }],
    [
      'a clock that was set back changes nothing',
      { days: [0, 20_000], today: 19_990, retentionDays: 1 },
      { isDue: false },
    ],
  ])('%s', (_, { days, ...now }, expected) => {
    expect(decideRotation(days, now)).toMatchObject({ ...expected, oldestDayKept: null });
  });

  test.each([
    ['what may be younger is kept', { days: [0, 100, 101], today: 101, retentionDays: 1 }, null],
    ['what has its days behind it goes', { days: [0, 100, 101], today: 102, retentionDays: 1 }, 100],
    ['all that is too old goes at once', { days: [0, 100, 101, 102], today: 120, retentionDays: 1 }, 102],
    ['the newest stays, however old', { days: [100], today: 9_000, retentionDays: 1 }, null],
  ])('%s', (_, { days, ...now }, oldestDayKept) => {
    expect(decideRotation(days, now)).toMatchObject({ oldestDayKept });
  });

  test.each([
    1, 7, 30, 90, 365, 3_650,
  ])('with %i days every event is kept for as long, not for much longer, in few partitions', (retentionDays) => {
    let days = [0];
    const oldestKept = () => days[0] ?? 0;
    for (let today = 1_000; today < 1_010 + 3 * retentionDays; today += 1) {
      const { isDue, oldestDayKept } = decideRotation(days, { today, retentionDays });
      if (oldestDayKept !== null) {
        // The youngest event that goes may have been written at the end of that day.
        expect(today - (oldestDayKept + 1)).toBeGreaterThanOrEqual(retentionDays);
        days = days.filter((day) => day >= oldestDayKept);
      }
      if (isDue) days.push(today);
      expect(days.length).toBeLessThanOrEqual(14);
      if (oldestKept() > 0) expect(today - oldestKept()).toBeLessThanOrEqual(retentionDays * 1.1 + 2);
    }
    expect(oldestKept()).toBeGreaterThan(1_000);
  });
});

describe('a log', () => {
  let database: TestDatabase;
  let storage: Storage;
  let pool: pg.Pool;
  const opened: pg.Client[] = [];

  beforeEach(async () => {
    database = await createTestDatabase();
    storage = openStorage(database.url);
    ({ pool } = storage);
  });
  afterEach(async () => {
    for (const client of opened.splice(0)) await client.end();
    await storage.close();
    await database.drop();
  });

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client(database.url);
    await client.connect();
    opened.push(client);
    return client;
  }

  /** The day whose partition the event is in that is written now. */
  async function writtenDay(): Promise<number> {
    await insertDeliveries(pool, { notificationId: await insertNotification(pool) });
    const { rows } = await pool.query<{ day: number }>(
      'select (max(position) >> 40)::integer as day from delivery_events',
    );
    return rows[0]?.day ?? -1;
  }

  test('goes on in its newest partition, whatever the clock does', async () => {
    expect(await writtenDay()).toBe(0);
    for (const today of [firstDay, firstDay, firstDay - 5]) {
      await rotateOn(pool, today);
      expect(await writtenDay()).toBe(firstDay);
    }
    await rotateOn(pool, firstDay + 3);
    expect(await writtenDay()).toBe(firstDay + 3);
    expect(await listDays(pool)).toEqual([0, firstDay, firstDay + 3]);
  });

  test('has the indexes of its table in each partition, once', async () => {
    await rotateOn(pool, firstDay);
    const { rows } = await pool.query<{ count: number; attached: number }>(`
      select count(*)::integer as count, count(inhrelid)::integer as attached
      from pg_index left join pg_inherits on inhrelid = indexrelid
      where indrelid in (select name::regclass from delivery_events_partitions())
      group by indrelid`);
    expect(rows).toEqual([
      { count: 4, attached: 4 },
      { count: 4, attached: 4 },
    ]);
  });

  test('can be written after the beginning of a partition was rolled back', async () => {
    const client = await connect();
    await client.query('begin');
    await client.query('select begin_delivery_events_partition($1)', [firstDay]);
    await client.query('rollback');
    expect(await writtenDay()).toBe(0);
  });

  test('goes on as it was while a partition cannot be begun', async () => {
    await pool.query('create table delivery_events_20241004 ()');
    await expect(rotateOn(pool, firstDay)).rejects.toThrow('already exists');
    expect(await writtenDay()).toBe(0);
    await pool.query('drop table delivery_events_20241004');
    await rotateOn(pool, firstDay);
    expect(await writtenDay()).toBe(firstDay);
  });

  test('loses no event of a writer that has begun its statement before a partition begins, and goes on after it', async () => {
    await pool.query(`
      create function hold_writer() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(1); return null; end $$;
      create trigger a_hold before insert on delivery_events for each statement execute function hold_writer()`);
    const [holder, writer] = [await connect(), await connect()];
    await holder.query('begin; select pg_advisory_xact_lock(1)');
    const notificationId = await insertNotification(pool);
    const written = insertDeliveries(writer, { notificationId });
    await until(async () => (await waitingLocks('advisory')) > 0);
    let isDone = false;
    const rotation = rotateOn(pool, firstDay).finally(() => {
      isDone = true;
    });
    await until(async () => isDone || (await waitingLocks('relation')) > 0);
    await holder.query('commit');
    expect(await written).toHaveLength(1);
    await rotation;
    expect(await listLog(pool, notificationId)).toHaveLength(1);
  });

  async function waitingLocks(kind: string): Promise<number> {
    const { rowCount } = await pool.query(
      'select from pg_locks join pg_database on pg_database.oid = database where datname = $1 and locktype = $2 and not granted',
      [database.name, kind],
    );
    return rowCount ?? 0;
  }

  test('is left alone while somebody holds it for long, and this is said', async () => {
    const [writer, reader] = [await connect(), await connect()];
    const busy = 'Partitions of the delivery log are left as they are until later: somebody holds it for long';
    const notificationId = await insertNotification(pool);
    await writer.query('begin');
    await insertDeliveries(writer, { notificationId });
    expect(await rotateOn(pool, firstDay)).toEqual([busy]);
    await writer.query('commit');
    expect(await rotateOn(pool, firstDay)).toEqual([]);
    await reader.query('begin; select from delivery_events');
    // A reader is not in the way of a beginning, but of a drop.
    expect(await rotateOn(pool, firstDay + 20)).toEqual([busy]);
    expect(await listDays(pool)).toEqual([0, firstDay, firstDay + 20]);
    await reader.query('commit');
    expect(await rotateOn(pool, firstDay + 20)).toEqual(['Delivery events that were too old are dropped']);
    expect(await listDays(pool)).toEqual([firstDay, firstDay + 20]);
  });

  test('is rotated by many workers at once as by one', async () => {
    const storages = Array.from({ length: 6 }, () => openStorage(database.url));
    try {
      const told: string[] = [];
      for (const day of [firstDay, firstDay + 1, firstDay + 30]) {
        told.push(...(await Promise.all(storages.map((worker) => rotateOn(worker.pool, day)))).flat());
        expect(await writtenDay()).toBe(day);
      }
      expect(told.filter((sentence) => sentence.includes('dropped'))).toHaveLength(1);
      expect(await listDays(pool)).toEqual([firstDay + 1, firstDay + 30]);
    } finally {
      for (const worker of storages) await worker.close();
    }
  });

  test('gets its partition from a worker, at its start and then again and again, and loses the old ones', async () => {
    for (const day of [firstDay, firstDay + 1]) await rotateOn(pool, day);
    const worker = await startApp(testConfig(database.url, { role: 'worker', eventRetentionDays: 1 }), {
      rotateMs: 20,
    });
    try {
      const { rows } = await pool.query<{ name: string; day: number }>(
        'select name, day from delivery_events_partitions() where day = floor(extract(epoch from now()) / 86400)',
      );
      const [today = { name: 'none', day: 0 }] = rows;
      expect(await listDays(pool)).toEqual([firstDay + 1, today.day]);
      await pool.query(`drop table ${today.name}`);
      await until(async () => (await listDays(pool)).includes(today.day));
    } finally {
      await worker.stop();
    }
  });
});
