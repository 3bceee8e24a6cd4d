import { type Progress, streamProgress } from '../../src/notifications/progress.ts';
import { openStorage, type Storage, sql } from '../../src/storage/database.ts';
import type { Bus } from '../../src/stream/bus/bus.ts';
import { createInProcessBus } from '../../src/stream/bus/in-process-bus.ts';
import { createHub, type Hub } from '../../src/stream/hub/hub.ts';
import type { Stream } from '../../src/stream/hub/open-stream.ts';
import { createTestLog, insertDeliveries, insertNotification, setStatus } from './log-events.ts';
import { countRowsRead } from './rows-read.ts';

/** A hub with connections of its own, in which totals are watched. */
export interface ProgressWatch {
  readonly hub: Hub;
  readonly bus: Bus;
  readonly storage: Storage;
  watch(notificationId: string, signal?: AbortSignal): Stream<Progress>;
  close(): Promise<void>;
}

export function openProgressWatch(databaseUrl: string): ProgressWatch {
  const storage = openStorage(databaseUrl);
  const bus = createInProcessBus();
  const { log } = createTestLog();
  const hub = createHub({ pool: storage.pool, bus, log });
  return {
    hub,
    bus,
    storage,
    watch: (notificationId, signal) => streamProgress({ hub, db: storage.db, log, notificationId, signal }),
    async close() {
      await hub.close();
      await storage.close();
    },
  };
}

/** Says that there are no more deliveries to come. */
export async function finishFanOut({ pool }: Pick<Storage, 'pool'>, notificationId: string): Promise<void> {
  await pool.query(sql`update notifications set fan_out_finished_at = now() where id = ${notificationId}::uuid`);
}

/** Deliveries that are made by one statement. */
const pageSize = 50_000;

/** A notification whose fan-out is finished: of its deliveries `sentCount` are sent, and those that are returned queued. */
export async function insertLargeNotification(
  storage: Storage,
  { sentCount, queuedCount }: { sentCount: number; queuedCount: number },
): Promise<{ notificationId: string; queuedIds: string[] }> {
  const { pool } = storage;
  const notificationId = await insertNotification(pool);
  for (let left = sentCount; left > 0; left -= pageSize) {
    await insertDeliveries(pool, { notificationId, count: Math.min(left, pageSize), status: 'SENT' });
  }
  const queuedIds = await insertDeliveries(pool, { notificationId, count: queuedCount });
  await finishFanOut(storage, notificationId);
  return { notificationId, queuedIds };
}

/**
 * Watches the totals while one delivery after another is sent, each when the one before has been told. Answers how many
 * rows were read for that, by whomever: all other connections to the database must be closed.
 */
export async function countRowsReadPerItem(
  databaseUrl: string,
  { notificationId, queuedIds }: { notificationId: string; queuedIds: readonly string[] },
): Promise<number> {
  const before = await countRowsRead(databaseUrl);
  const { storage, bus, watch, close } = openProgressWatch(databaseUrl);
  const stream = watch(notificationId);
  await stream.next();
  for (const id of queuedIds) {
    await setStatus(storage.pool, [id], 'SENT');
    bus.wake();
    await stream.next();
  }
  await close();
  return ((await countRowsRead(databaseUrl)) - before) / queuedIds.length;
}

/** What a stream tells until its end, and how many could have been told in that time at four a second. */
export async function collectTotals(stream: Stream<Progress>): Promise<{ items: Progress[]; itemsMax: number }> {
  const startedAt = performance.now();
  const items: Progress[] = [];
  let lastAt = startedAt;
  for await (const item of stream) {
    items.push(item);
    lastAt = performance.now();
  }
  // A timer of Node's may be a millisecond early.
  return { items, itemsMax: Math.floor((lastAt - startedAt) / (250 - 1)) + 1 };
}
