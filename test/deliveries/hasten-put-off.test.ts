import { beforeEach, expect, test } from 'vitest';
import { deletePause, holdPauses, insertPause, type Provider } from '../../src/deliveries/channel-pause-store.ts';
import { hastenPutOffPage } from '../../src/deliveries/hasten-put-off.ts';
import { sql } from '../../src/storage/database.ts';
import { inTransaction } from '../../src/storage/transaction.ts';
import { useDatabase } from '../support/database.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makeApp } from '../support/make-app.ts';
import { until } from '../support/until.ts';

const database = useDatabase();

let smtp: Provider;
let pauseId: string;
beforeEach(async () => {
  const { id: appId } = await makeApp(database);
  smtp = { appId, channel: 'EMAIL', provider: 'smtp' };
  await insertPause(database.db, smtp, { cause: 'REFUSED', providerCode: null, pauseMs: 60_000 });
  const { id } = await database.db.channelPause.findFirstOrThrow({ where: { appId } });
  pauseId = id;
});

/** Deliveries that are due in an hour, of a new notification. */
async function makePutOff(count: number, by: string | null): Promise<{ notificationId: string; ids: string[] }> {
  const notificationId = await insertNotification(database.pool);
  const ids = await insertDeliveries(database.pool, { notificationId, count });
  await database.pool.query(sql`
    update deliveries set pause_id = ${by}::uuid, next_attempt_at = now() + interval '1 hour'
    where notification_id = ${notificationId}::uuid`);
  return { notificationId, ids };
}

const countDue = (notificationId: string) =>
  database.db.delivery.count({ where: { notificationId, nextAttemptAt: { lte: new Date() } } });

/** Jobs that are to send it. */
async function countJobs(notificationId: string): Promise<number> {
  const { rows } = await database.pool.query(sql`
    select from graphile_worker.jobs where task_identifier = 'deliver' and key = ${`deliver ${notificationId}`}`);
  return rows.length;
}

test('what a pause has put off is made due a page at a time, with its job, and nothing else is', async () => {
  const [mine, others] = [await makePutOff(1_001, pauseId), await makePutOff(3, null)];
  expect(await hastenPutOffPage(database.db, pauseId)).toBe(true);
  expect(await countDue(mine.notificationId)).toBe(1_000);
  expect(await hastenPutOffPage(database.db, pauseId)).toBe(false);
  expect([await countDue(mine.notificationId), await countDue(others.notificationId)]).toEqual([1_001, 0]);
  expect([await countJobs(mine.notificationId), await countJobs(others.notificationId)]).toEqual([1, 0]);
});

test('what somebody holds keeps nobody waiting when a pause ends', async () => {
  const { notificationId, ids } = await makePutOff(3, pauseId);
  await inTransaction(database.db, async (tx) => {
    await tx.$queryRaw(sql`select id from deliveries where id = ${ids[0] ?? ''}::uuid for update`);
    await hastenPutOffPage(database.db, pauseId);
  });
  expect(await countDue(notificationId)).toBe(2);
});

test('who ends a pause waits for what is being put off by it, so that nothing is missed', async () => {
  const putOff = Promise.withResolvers<void>();
  const held = Promise.withResolvers<ReadonlyMap<string, string>>();
  const recording = inTransaction(database.db, async (tx) => {
    held.resolve(await holdPauses(tx, [smtp]));
    await putOff.promise;
  });
  expect([...(await held.promise).values()]).toEqual([pauseId]);
  const ending = deletePause(database.db, smtp);
  await until(async () => {
    const { rows } = await database.pool.query(`
      select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%channel_pauses%'`);
    return rows.length === 1;
  });
  putOff.resolve();
  await recording;
  expect(await ending).toBe(true);
  expect(await inTransaction(database.db, (tx) => holdPauses(tx, [smtp]))).toEqual(new Map());
});
