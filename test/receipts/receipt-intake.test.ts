import { afterAll, beforeAll, expect, test } from 'vitest';
import { createReceiptIntake, type ReceiptIntake } from '../../src/receipts/receipt-intake.ts';
import { openStorage, type Storage, sql } from '../../src/storage/database.ts';
import { createInProcessBus } from '../../src/stream/bus/in-process-bus.ts';
import { useDatabase } from '../support/database.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { type StatementCounter, startStatementCounter } from '../support/statement-counter.ts';

const database = useDatabase();
let counter: StatementCounter;
let storage: Storage;
let intake: ReceiptIntake;
beforeAll(async () => {
  counter = await startStatementCounter(database.url);
  storage = openStorage(counter.url);
  intake = createReceiptIntake({ db: storage.db, bus: createInProcessBus() });
});
afterAll(async () => {
  await intake.close();
  await storage.close();
  await counter[Symbol.asyncDispose]();
});

async function makeSent(count: number): Promise<string[]> {
  const ids = await insertDeliveries(database.pool, { notificationId: await insertNotification(database.pool), count });
  await database.pool.query(
    sql`update deliveries set channel = 'SMS', attempts = 1, status = 'SENT' where id = any(${ids})`,
  );
  return ids;
}

const take = (deliveryId: string, receipt: 'DELIVERED' | 'OPENED' | 'BOUNCED') =>
  intake.take([
    { about: { deliveryId }, via: 'sms', receipt, reason: null, providerCode: null, at: null, isAddressGone: false },
  ]);

const statusesOf = async (ids: readonly string[]) => {
  const { rows } = await database.pool.query<{ status: string; count: number }>(
    sql`select status, count(*)::int from deliveries where id = any(${[...ids]}) group by status`,
  );
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
};

test('receipts that come at the same time are recorded together, and each caller is answered when its own is', async () => {
  const ids = await makeSent(200);
  counter.take();
  await Promise.all(ids.map((id) => take(id, 'DELIVERED')));
  const transactions = counter.take().filter((statement) => /^begin/.test(statement));
  expect(transactions.length).toBeLessThanOrEqual(2);
  expect(await statusesOf(ids)).toEqual({ DELIVERED: 200 });
});

test('of one delivery they are recorded in the order in which they came, whichever that is', async () => {
  const [forward = '', backward = ''] = await makeSent(2);
  await Promise.all([
    ...(['DELIVERED', 'OPENED', 'BOUNCED'] as const).map((receipt) => take(forward, receipt)),
    ...(['OPENED', 'DELIVERED', 'DELIVERED'] as const).map((receipt) => take(backward, receipt)),
  ]);
  expect(await statusesOf([forward])).toEqual({ OPENED: 1 });
  expect(await statusesOf([backward])).toEqual({ OPENED: 1 });
  const { rows } = await database.pool.query<{ delivery_id: string; status: string }>(sql`
    select delivery_id, status from delivery_events
    where delivery_id = any(${[forward, backward]}) and status not in ('QUEUED', 'SENT') order by position`);
  expect(rows.filter((row) => row.delivery_id === forward).map(({ status }) => status)).toEqual([
    'DELIVERED',
    'OPENED',
  ]);
  expect(rows.filter((row) => row.delivery_id === backward).map(({ status }) => status)).toEqual(['OPENED']);
});

test('what two gateways are told at once of the same deliveries is recorded once, without a deadlock', async () => {
  const ids = await makeSent(100);
  const other = createReceiptIntake({ db: storage.db, bus: createInProcessBus() });
  const told = {
    via: 'sms',
    receipt: 'DELIVERED',
    reason: null,
    providerCode: null,
    at: null,
    isAddressGone: false,
  } as const;
  await Promise.all([
    ...ids.map((id) => take(id, 'DELIVERED')),
    ...ids.toReversed().map((deliveryId) => other.take([{ about: { deliveryId }, ...told }])),
  ]);
  const { rows } = await database.pool.query<{ count: number }>(sql`
    select count(*)::int from delivery_events where delivery_id = any(${ids}) and status = 'DELIVERED'`);
  expect(rows).toEqual([{ count: 100 }]);
});

test('what cannot be recorded is told to who brought it, and what comes later is recorded', async () => {
  const [id = ''] = await makeSent(1);
  const broken = openStorage('postgresql://nobody@127.0.0.1:1/nothing');
  const unable = createReceiptIntake({ db: broken.db, bus: createInProcessBus() });
  const told = {
    via: 'sms',
    receipt: 'DELIVERED',
    reason: null,
    providerCode: null,
    at: null,
    isAddressGone: false,
  } as const;
  await expect(unable.take([{ about: { deliveryId: id }, ...told }])).rejects.toThrow();
  await expect(unable.take([{ about: { deliveryId: id }, ...told }])).rejects.toThrow();
  await broken.close();
  await take(id, 'DELIVERED');
  expect(await statusesOf([id])).toEqual({ DELIVERED: 1 });
});
