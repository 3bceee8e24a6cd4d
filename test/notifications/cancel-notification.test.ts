import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { beginSends } from '../../src/deliveries/begin-sends.ts';
import { claimDue } from '../../src/deliveries/claim.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { cancelNotification } from '../support/cancel-operations.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

/** A notification to `count` users that is fanned out, of which nothing is sent before an hour has passed. */
async function makeWaiting(count: number): Promise<string> {
  const tag = randomUUID();
  await g.pool.query(sql`
    with made as (insert into users (id, tags) select uuid_v7(), ${[tag]}::text[] from generate_series(1, ${count}) returning id)
    insert into recipients (id, channel, user_id, address) select uuid_v7(), 'EMAIL', id, id || '@example.com' from made`);
  const notification = await makeNotification(g.server, toSend({ filter: { tag } }, { channels: ['EMAIL'] }));
  await g.pool.query(sql`
    create or replace function hold() returns trigger language plpgsql as $$ begin
      new.next_attempt_at = now() + interval '1 hour'; return new;
    end $$`);
  await g.pool.query(
    sql`create or replace trigger hold before insert on deliveries for each row execute function hold()`,
  );
  const worker = await g.startWorker();
  await until(
    async () => (await g.db.notification.findUnique({ where: { id: localIdOf(notification) } }))?.fanOutFinishedAt,
  );
  await worker.stop();
  await g.pool.query(sql`drop trigger hold on deliveries`);
  return notification;
}

test('what is queued is called off at once, page by page, with an event each, and is sent no more', async () => {
  const notification = await makeWaiting(1_500);
  expect(await cancelNotification(g.server, notification)).toMatchObject({ notification: { status: 'CANCELLED' } });
  expect(await g.db.delivery.count({ where: { notificationId: localIdOf(notification), status: 'CANCELLED' } })).toBe(
    1_000,
  );
  await g.startWorker();
  const { status, progress, deliveries } = await settledDeliveries(g.server, notification);
  expect([status, progress]).toMatchObject([
    'CANCELLED',
    { total: 1_500, cancelled: 1_500, sent: 0, isComplete: true },
  ]);
  expect(deliveries.nodes[0]).toMatchObject({
    reason: 'CALLER_CANCELLED',
    events: [{ status: 'QUEUED' }, { status: 'CANCELLED' }],
  });
});

test('the rest is called off though the job is lost', async () => {
  const notification = await makeWaiting(1_001);
  await cancelNotification(g.server, notification);
  await g.pool.query(sql`select graphile_worker.complete_jobs(array(select id from graphile_worker.jobs))`);
  await g.startWorker();
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ cancelled: 1_001 });
});

test.each([
  ['a scheduled send', 3_600],
  ['one that no worker has taken up yet', 0],
])('%s never starts', async (_, seconds) => {
  const person = await makePerson(g.server);
  const sendAt = new Date(Date.now() + seconds * 1_000).toISOString();
  const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { sendAt }));
  expect(await cancelNotification(g.server, notification)).toMatchObject({ notification: { status: 'CANCELLED' } });
  await g.pool.query(sql`
    update notifications set starts_at = now(), fan_out_claim_expires_at = now()
    where id = ${localIdOf(notification)}::uuid`);
  const other = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
  await g.startWorker();
  await settledDeliveries(g.server, other);
  expect(await g.db.delivery.count({ where: { notificationId: localIdOf(notification) } })).toBe(0);
});

test('what a worker has claimed and not begun ends as CANCELLED when its turn comes', async () => {
  const notificationId = localIdOf(await makeWaiting(2));
  await g.pool.query(
    sql`update deliveries set next_attempt_at = now() where notification_id = ${notificationId}::uuid`,
  );
  const token = newId();
  const claim = await claimDue(g.db, { notificationId, token, limit: 10, leaseSeconds: 60, pausedChannels: [] });
  await cancelNotification(g.server, notificationId);
  const due = await beginSends(g.db, { token, deliveryIds: claim.deliveryIds, leaseSeconds: 60 });
  expect(due.map(({ refusal, attempts }) => [refusal, attempts])).toEqual([
    ['CALLER_CANCELLED', 0],
    ['CALLER_CANCELLED', 0],
  ]);
});

test('it may be called off again, and not when it is done', async () => {
  const person = await makePerson(g.server);
  const scheduled = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { sendAt: new Date(Date.now() + 3_600_000).toISOString() }),
  );
  const first = await cancelNotification(g.server, scheduled);
  expect(await cancelNotification(g.server, scheduled)).toEqual(first);
  const done = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
  await g.startWorker();
  await settledDeliveries(g.server, done);
  expect(await cancelNotification(g.server, done)).toMatchObject({ code: 'STATE_CONFLICT', path: ['notification'] });
  expect(await cancelNotification(g.server, randomUUID())).toMatchObject({ code: 'NOT_FOUND', path: ['notification'] });
});
