import { expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { newEmail } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, settledInAHurry, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

/** A notification by three channels that is fanned out and sent, except that a dead worker holds it all, with no job left. */
async function makeOrphaned({ leaseSeconds }: { leaseSeconds: number }): Promise<string> {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
  await g.pool.query(sql`
    create or replace function hold() returns trigger language plpgsql as $$ begin
      new.next_attempt_at = now() + interval '1 hour'; return new;
    end $$`);
  await g.pool.query(sql`create trigger hold before insert on deliveries for each row execute function hold()`);
  const worker = await g.startWorker();
  await until(async () => (await g.db.delivery.count({ where: { notificationId: localIdOf(notification) } })) === 3);
  await worker.stop();
  await g.pool.query(sql`drop trigger hold on deliveries`);
  await g.pool.query(sql`
    update deliveries set status = 'SENDING', claim_token = gen_random_uuid(), attempts = 1,
      claim_expires_at = now() + make_interval(secs => ${leaseSeconds})
    where notification_id = ${localIdOf(notification)}::uuid`);
  await dropJobs();
  return notification;
}

const dropJobs = () =>
  g.pool.query(sql`select graphile_worker.complete_jobs(array(select id from graphile_worker.jobs))`);

test('claims that have run out are taken over, and the attempt that was lost counts', async () => {
  const notification = await makeOrphaned({ leaseSeconds: -1 });
  await g.startWorker();
  const { deliveries, progress } = await settledDeliveries(g.server, notification);
  expect(progress).toMatchObject({ total: 3, sent: 3 });
  expect(deliveries.nodes.map(({ attempts }) => attempts)).toEqual([2, 2, 2]);
  for (const { events } of deliveries.nodes) expect(events.map(({ status }) => status)).toEqual(['QUEUED', 'SENT']);
});

test('claims that have not run out are left alone', async () => {
  const [held, orphaned] = [await makeOrphaned({ leaseSeconds: 3_600 }), await makeOrphaned({ leaseSeconds: -1 })];
  await g.startWorker();
  await settledDeliveries(g.server, orphaned);
  expect(await g.db.delivery.count({ where: { notificationId: localIdOf(held), status: 'SENDING' } })).toBe(3);
});

test('a fan-out whose job is lost is taken up when its lease has run out', async () => {
  const person = await makePerson(g.server);
  const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'] }));
  await dropJobs();
  await g.pool.query(
    sql`update notifications set fan_out_claim_expires_at = now() where id = ${localIdOf(notification)}::uuid`,
  );
  await g.startWorker();
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 1, sent: 1 });
});

test('deliveries that are due and have lost their job are sent', async () => {
  const notification = await makeOrphaned({ leaseSeconds: -1 });
  await g.pool.query(sql`
    update deliveries set status = 'QUEUED', claim_token = null, claim_expires_at = null, next_attempt_at = now()
    where notification_id = ${localIdOf(notification)}::uuid`);
  await g.startWorker();
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 3, sent: 3 });
});

test('more notifications than a page are all looked after', async () => {
  const { rows } = await g.pool.query<{ id: string }>(sql`
    insert into notifications (id, content, target, created_by, expires_at, fan_out_finished_at)
    select uuid_v7(), '{}', '{}', 'test', now(), now() from generate_series(1, 1001) returning id`);
  await g.pool.query(sql`
    insert into deliveries (id, notification_id, target_key, channel, status)
    select uuid_v7(), id, gen_random_uuid(), 'EMAIL', 'QUEUED' from unnest(${rows.map(({ id }) => id)}::uuid[]) n (id)`);
  await g.startWorker();
  const expired = { status: 'EXPIRED' as const, notificationId: { in: rows.map(({ id }) => id) } };
  await until(async () => (await g.db.delivery.count({ where: expired })) === 1_001);
});

test('a thousand that are overdue in one notification all expire, each told once', async () => {
  const id = await insertNotification(g.pool);
  await insertDeliveries(g.pool, { notificationId: id, count: 2_500 });
  await g.pool.query(
    sql`update notifications set expires_at = now(), fan_out_finished_at = now() where id = ${id}::uuid`,
  );
  await g.startWorker();
  await until(async () => (await g.db.delivery.count({ where: { notificationId: id, status: 'EXPIRED' } })) === 2_500);
  expect(await g.db.deliveryEvent.count({ where: { notificationId: id, status: 'EXPIRED' } })).toBe(2_500);
});

test('when all is sent, no job is left', async () => {
  await dropJobs();
  const person = await makePerson(g.server, { emails: [newEmail(), newEmail('retry-once')] });
  await g.startWorker({}, { sweepMs: 20 });
  for (const _ of Array(5)) {
    const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
    await settledInAHurry(g, notification);
  }
  await until(async () => (await g.pool.query(sql`select from graphile_worker.jobs`)).rowCount === 0);
});

test('a fan-out that fails each time has one waiting job, however often it is swept', async () => {
  await dropJobs();
  const id = await insertNotification(g.pool);
  await g.pool.query(sql`update notifications set fan_out_claim_expires_at = now() where id = ${id}::uuid`);
  await g.startWorker({}, { leaseSeconds: 0.01, sweepMs: 10 });
  const attemptsOf = async () =>
    (
      await g.pool.query<{ revision: number }>(
        sql`select revision from graphile_worker.jobs where key = ${`fan out ${id}`}`,
      )
    ).rows;
  await until(async () => ((await attemptsOf())[0]?.revision ?? 0) > 5);
  expect((await g.pool.query(sql`select from graphile_worker.jobs`)).rowCount).toBeLessThanOrEqual(6);
  await g.pool.query(sql`delete from notifications where id = ${id}::uuid`);
});

test('idempotency keys whose time is over are forgotten, others are kept', async () => {
  await g.pool.query(sql`
    insert into idempotency_keys (principal, mutation, key, body_hash, expires_at)
    values ('key:1', 'personalize', 'over', '', now() - interval '1 second'), ('key:1', 'personalize', 'kept', '', now() + interval '1 hour')`);
  await g.startWorker();
  await until(async () => (await g.db.idempotencyKey.count({ where: { key: 'over' } })) === 0);
  expect(await g.db.idempotencyKey.count({ where: { key: 'kept' } })).toBe(1);
});

test('access changes that every gateway has heard of are forgotten, others are kept', async () => {
  const [old, young] = [newId(), newId()];
  await g.pool.query(sql`
    insert into access_changes (subject_id, at)
    values (${old}::uuid, now() - interval '8 days'), (${young}::uuid, now() - interval '6 days')`);
  await g.startWorker();
  await until(async () => (await g.db.accessChange.count({ where: { subjectId: old } })) === 0);
  expect(await g.db.accessChange.count({ where: { subjectId: young } })).toBe(1);
});
