import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { fcmAddress } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { depersonalize, makeInstallation, makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, makeSegment, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

test('everyone is everybody but who is left out, those without a name too, across pages, once each (rule N7)', async () => {
  const [person, excluded] = [await makePerson(g.server), await makePerson(g.server)];
  const lead = await makeInstallation(g.app, { platform: 'ANDROID', address: fcmAddress() });
  await g.pool.query(sql`insert into users (id) select uuid_v7() from generate_series(1, 1100)`);
  const target = { everyone: true, excludeSegments: [await makeSegment(g.server, [excluded.id])] };
  const notification = await makeNotification(g.server, toSend(target, { channels: ['PUSH'] }));
  await g.startWorker({}, { usersPerPage: 500 });
  const { progress } = await settledDeliveries(g.server, notification);
  const { rows } = await g.pool.query<{ count: number }>(sql`select count(*)::int - 1 as count from users`);
  expect(progress).toMatchObject({ total: rows[0]?.count, sent: 2 });
  const reached = await g.db.delivery.findMany({
    where: { notificationId: localIdOf(notification), status: 'SENT' },
  });
  expect(reached.map(({ userId }) => userId).sort()).toEqual([person.id, lead.user.id].map(localIdOf).sort());
});

test('a broadcast reaches an installation that has left its user meanwhile, and what is meant for the person does not', async () => {
  const person = await makePerson(g.server);
  await g.pool.query(sql`
    create or replace function hold() returns trigger language plpgsql as $$ begin
      new.next_attempt_at = now() + interval '1 hour'; return new;
    end $$`);
  await g.pool.query(sql`create trigger hold before insert on deliveries for each row execute function hold()`);
  const push = { channels: ['PUSH' as const] };
  const broadcast = await makeNotification(g.server, toSend({ everyone: true }, push));
  const personal = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, push));
  const worker = await g.startWorker();
  const madeFor = (notification: string) =>
    g.db.delivery.findFirst({
      where: { notificationId: localIdOf(notification), userId: localIdOf(person.id), status: 'QUEUED' },
    });
  await until(async () => (await madeFor(broadcast)) !== null && (await madeFor(personal)) !== null);
  await worker.stop();
  await g.pool.query(sql`drop trigger hold on deliveries`);
  const ids = [(await madeFor(broadcast))?.id ?? '', (await madeFor(personal))?.id ?? ''];
  await depersonalize(g.app.as(person.installation.token));
  await g.pool.query(sql`update deliveries set next_attempt_at = now() where status = 'QUEUED'`);
  await g.startWorker();
  await settledDeliveries(g.server, broadcast);
  const ends = await Promise.all(ids.map((id) => g.db.delivery.findUnique({ where: { id } })));
  expect(ends.map((end) => [end?.status, end?.reason])).toEqual([
    ['SENT', null],
    ['CANCELLED', 'DEPERSONALIZED'],
  ]);
});
