import { expect, test } from 'vitest';
import { openStorage } from '../../src/storage/database.ts';
import { createTestDatabase } from '../support/database.ts';
import { setStatus } from '../support/log-events.ts';
import {
  collectTotals,
  countRowsReadPerItem,
  insertLargeNotification,
  openProgressWatch,
} from '../support/progress-watch.ts';
import { countRowsRead } from '../support/rows-read.ts';

const million = 1_000_000;
const queuedCount = 20_010;

test('the totals of a million deliveries are followed without reading more than what changes', async ({ annotate }) => {
  const { url, drop } = await createTestDatabase();
  const startedAt = performance.now();
  const storage = openStorage(url);
  const { notificationId, queuedIds } = await insertLargeNotification(storage, {
    sentCount: million - queuedCount,
    queuedCount,
  });
  await storage.close();
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  await annotate(`A million deliveries, with their events and counts, were written in ${seconds} s.`);

  const rowsPerItem = await countRowsReadPerItem(url, { notificationId, queuedIds: queuedIds.splice(0, 10) });
  expect(rowsPerItem).toBeLessThan(100);
  await annotate(`Rows read for one change and the item that tells of it: ${rowsPerItem}.`);

  const before = await countRowsRead(url);
  const { storage: busy, bus, watch, close } = openProgressWatch(url);
  const collecting = collectTotals(watch(notificationId));
  while (queuedIds.length > 0) {
    await setStatus(busy.pool, queuedIds.splice(0, 100), 'SENT');
    bus.wake();
  }
  const { items, itemsMax } = await collecting;
  await close();
  const rows = (await countRowsRead(url)) - before;
  expect(items.length).toBeLessThanOrEqual(itemsMax);
  expect(items.at(-1)).toMatchObject({ total: million, sent: million, isComplete: true });
  expect(items.slice(0, -1).every(({ isComplete }) => !isComplete)).toBe(true);
  await annotate(`20,000 changes at full speed: ${items.length} of at most ${itemsMax} items, ${rows} rows read.`);
  await drop();
});
