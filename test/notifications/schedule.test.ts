import { describe, expect, test } from 'vitest';
import { decideTimes } from '../../src/notifications/schedule.ts';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, sendNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, makeSegment, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString();

const Status = graphql(`
  query StatusOfNotification($id: ID!) { notification(id: $id) { status sendAt expiresAt } }
`);
const statusOf = async (id: string) => (await g.server.run(Status, { id })).notification;

/** Makes the time of a scheduled notification come. */
async function letStart(notification: string) {
  await g.pool.query(sql`
    update notifications set starts_at = now(), fan_out_claim_expires_at = now() where id = ${localIdOf(notification)}::uuid`);
}

test('a scheduled send waits, whatever becomes of its job, and its time to live counts from then on (rule M6)', async () => {
  const person = await makePerson(g.server);
  const sendAt = inSeconds(3_600);
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'], sendAt, ttlSeconds: 60 }),
  );
  const other = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'] }));
  // As if a job had come early, and its lease had run out.
  await g.pool.query(sql`
    select graphile_worker.add_job('fan-out', ${JSON.stringify({ notificationId: localIdOf(notification) })}::json)`);
  await g.pool.query(sql`
    update notifications set fan_out_claim_expires_at = now() where id = ${localIdOf(notification)}::uuid`);
  await g.startWorker();
  await settledDeliveries(g.server, other);
  expect(await statusOf(notification)).toEqual({
    status: 'SCHEDULED',
    sendAt,
    expiresAt: new Date(Date.parse(sendAt) + 60_000).toISOString(),
  });
  expect(await g.db.delivery.count({ where: { notificationId: localIdOf(notification) } })).toBe(0);
});

test('who is meant by a scheduled send is decided when its time comes, also without its job (rule M6)', async () => {
  const [early, late] = [await makePerson(g.server), await makePerson(g.server)];
  const segment = await makeSegment(g.server, [early.id]);
  const notification = await makeNotification(
    g.server,
    toSend({ segments: [segment] }, { channels: ['PUSH'], sendAt: inSeconds(3_600) }),
  );
  await g.pool.query(sql`
    update segment_members set user_id = ${localIdOf(late.id)}::uuid where segment_id = ${localIdOf(segment)}::uuid`);
  await g.pool.query(sql`select graphile_worker.complete_jobs(array(select id from graphile_worker.jobs))`);
  await letStart(notification);
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ user, status }) => [user?.id, status])).toEqual([[late.id, 'SENT']]);
});

test('a scheduled send is sent when its time comes', async () => {
  const person = await makePerson(g.server);
  const sendAt = new Date(Date.now() + 3_000);
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'], sendAt: sendAt.toISOString() }),
  );
  await g.startWorker({}, { sweepMs: 60_000 });
  await until(async () => (await statusOf(notification))?.status === 'DONE');
  const made = await g.db.delivery.findFirst({ where: { notificationId: localIdOf(notification) } });
  expect(made?.createdAt.getTime()).toBeGreaterThanOrEqual(sendAt.getTime());
});

test('a repeat of a call whose time has passed is a repeat', async () => {
  const person = await makePerson(g.server);
  const sendAt = inSeconds(-59);
  const send = toSend({ users: [{ id: person.id }] }, { sendAt, idempotencyKey: crypto.randomUUID() });
  const notification = await makeNotification(g.server, send);
  await g.pool.query(sql`select pg_sleep(1.1)`);
  expect(await makeNotification(g.server, send)).toBe(notification);
  expect(await sendNotification(g.server, { ...send, sendAt: null })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
});

describe('a schedule', () => {
  const now = new Date('2026-11-27T12:00:00Z');
  const days = (count: number) => new Date(now.getTime() + count * 86_400_000);
  const schedule = { sendAt: null, localTime: false, ttlSeconds: 60 };

  test('without a time begins now', () => {
    expect(decideTimes(schedule, now)).toEqual({ startsAt: now, expiresAt: new Date('2026-11-27T12:01:00Z') });
  });

  test('may be 180 days ahead, and no more', () => {
    expect(decideTimes({ ...schedule, sendAt: days(180) }, now).startsAt).toEqual(days(180));
    const tooLate = new Date(days(180).getTime() + 1);
    expect(() => decideTimes({ ...schedule, sendAt: tooLate }, now)).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', inputPath: ['sendAt'] }),
    );
  });

  test('may be a minute ago, which is now', () => {
    const sendAt = new Date(now.getTime() - 60_000);
    expect(decideTimes({ ...schedule, sendAt }, now).startsAt).toEqual(now);
    expect(() => decideTimes({ ...schedule, sendAt: new Date(sendAt.getTime() - 1) }, now)).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', inputPath: ['sendAt'] }),
    );
  });

  test('by local time begins where it is that time first, and ends where it is last', () => {
    const sendAt = days(2);
    expect(decideTimes({ ...schedule, sendAt, localTime: true }, now)).toEqual({
      startsAt: new Date('2026-11-28T22:00:00Z'),
      expiresAt: new Date('2026-11-30T00:01:00Z'),
    });
    const passedSomewhere = new Date(now.getTime() - 11 * 3_600_000);
    expect(decideTimes({ ...schedule, sendAt: passedSomewhere, localTime: true }, now)).toEqual({
      startsAt: now,
      expiresAt: new Date('2026-11-27T13:01:00Z'),
    });
    const passedEverywhere = new Date(now.getTime() - 13 * 3_600_000);
    expect(() => decideTimes({ ...schedule, sendAt: passedEverywhere, localTime: true }, now)).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', inputPath: ['sendAt'] }),
    );
  });
});
