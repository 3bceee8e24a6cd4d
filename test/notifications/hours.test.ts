import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { newEmail } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import {
  makeInstallation,
  makeNotification,
  personalize,
  sendNotification,
  settledDeliveries,
} from '../support/operations.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

/** A person with an e-mail address whose clocks are those of a zone. */
async function makePersonIn(zone: string | null) {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  await g.pool.query(sql`update users set time_zone = ${zone} where id = ${localIdOf(person.id)}::uuid`);
  return person;
}

const byEmail = (users: { id: string }[], rest: Partial<SendNotificationInput>) =>
  makeNotification(g.server, toSend({ users: users.map(({ id }) => ({ id })) }, { channels: ['EMAIL'], ...rest }));

/** By user, when each delivery is due, once they are made. */
async function dueOf(notification: string, count: number) {
  const where = { notificationId: localIdOf(notification) };
  const made = await until(async () => {
    const deliveries = await g.db.delivery.findMany({ where });
    return deliveries.length === count && deliveries;
  });
  return new Map(made.map(({ userId, nextAttemptAt }) => [userId, nextAttemptAt.toISOString()]));
}

const hourMs = 3_600_000;
/** The next full hour in so many hours. */
const inHours = (hours: number) => new Date(Math.ceil(Date.now() / hourMs + hours) * hourMs);

test.each([
  ['before', '2026-11-27T20:59:59Z', 'Europe/Berlin', '22:00', '07:00', null],
  ['at their begin', '2026-11-27T21:00:00Z', 'Europe/Berlin', '22:00', '07:00', '2026-11-28T06:00:00Z'],
  ['after midnight', '2026-11-28T05:59:59Z', 'Europe/Berlin', '22:00', '07:00', '2026-11-28T06:00:00Z'],
  ['at their end', '2026-11-28T06:00:00Z', 'Europe/Berlin', '22:00', '07:00', null],
  ['within a day', '2026-11-27T12:30:00Z', 'UTC', '12:00', '14:00', '2026-11-27T14:00:00Z'],
  ['over the change to summer time', '2026-03-28T22:00:00Z', 'Europe/Berlin', '22:00', '07:00', '2026-03-29T05:00:00Z'],
  ['over the change to winter time', '2026-10-24T21:00:00Z', 'Europe/Berlin', '22:00', '07:00', '2026-10-25T06:00:00Z'],
  [
    'until a time that the change leaves out',
    '2026-03-29T00:30:00Z',
    'Europe/Berlin',
    '22:00',
    '02:30',
    '2026-03-29T01:30:00Z',
  ],
  ['half an hour off', '2026-11-27T16:40:00Z', 'Asia/Kolkata', '22:00', '07:00', '2026-11-28T01:30:00Z'],
  ['without a zone', '2026-11-27T23:00:00Z', null, '22:00', '07:00', '2026-11-28T07:00:00Z'],
  ['in a zone that is none', '2026-11-27T23:00:00Z', 'Nowhere/At_All', '22:00', '07:00', '2026-11-28T07:00:00Z'],
])('quiet hours: %s', async (_, moment, zone, from, to, expected) => {
  const { rows } = await g.pool.query<{ until: Date | null }>(sql`
    select quiet_until(${moment}::timestamptz, ${zone}::text, ${from}::time, ${to}::time) as until`);
  expect(rows[0]?.until).toEqual(expected === null ? null : new Date(expected));
});

test('what is due in the quiet hours of the user waits for their end, by the clock of the user', async () => {
  const now = new Date();
  const hour = (offset: number) => `${String((now.getUTCHours() + offset + 24) % 24).padStart(2, '0')}:00`;
  const [asleep, awake, unknown] = [
    await makePersonIn('UTC'),
    await makePersonIn('Etc/GMT-12'),
    await makePersonIn(null),
  ];
  const notification = await byEmail([asleep, awake, unknown], { quietHours: { from: hour(-2), to: hour(3) } });
  await g.startWorker();
  const due = await dueOf(notification, 3);
  const ends = inHours(2).toISOString();
  expect([due.get(localIdOf(asleep.id)), due.get(localIdOf(unknown.id))]).toEqual([ends, ends]);
  await until(
    async () =>
      (await g.db.delivery.count({ where: { notificationId: localIdOf(notification), status: 'SENT' } })) === 1,
  );
  const sent = await g.db.delivery.findFirst({ where: { notificationId: localIdOf(notification), status: 'SENT' } });
  expect(sent?.userId).toBe(localIdOf(awake.id));
});

test('what comes to its turn in quiet hours waits, and no attempt is counted; then it is sent', async () => {
  const person = await makePersonIn('UTC');
  const now = new Date();
  const hour = (offset: number) => `${String((now.getUTCHours() + offset + 24) % 24).padStart(2, '0')}:00`;
  const notification = await byEmail([person], { quietHours: { from: hour(-2), to: hour(3) } });
  await g.startWorker();
  await dueOf(notification, 1);
  // As if it had been put off, or given back by a worker that stopped.
  const id = localIdOf(notification);
  const hurry = () =>
    g.pool.query(sql`update deliveries set next_attempt_at = now() where notification_id = ${id}::uuid`);
  await hurry();
  await until(async () => {
    const delivery = await g.db.delivery.findFirst({ where: { notificationId: id } });
    // Two hours at least: what is due now has not come to its turn yet.
    return delivery?.status === 'QUEUED' && delivery.nextAttemptAt.getTime() > now.getTime() + 3_600_000;
  });
  expect(await g.db.delivery.findFirst({ where: { notificationId: id } })).toMatchObject({
    attempts: 0,
    status: 'QUEUED',
  });
  await g.pool.query(sql`update notifications set quiet_hours = null where id = ${id}::uuid`);
  await hurry();
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ sent: 1 });
});

test('the time to live decides, where it passes within the quiet hours', async () => {
  const person = await makePersonIn('UTC');
  const now = new Date();
  const hour = (offset: number) => `${String((now.getUTCHours() + offset + 24) % 24).padStart(2, '0')}:00`;
  const notification = await byEmail([person], { quietHours: { from: hour(-2), to: hour(3) }, ttlSeconds: 30 });
  await g.startWorker();
  await dueOf(notification, 1);
  await g.pool.query(sql`update notifications set expires_at = now() where id = ${localIdOf(notification)}::uuid`);
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes.map(({ status, reason }) => [status, reason])).toEqual([['EXPIRED', 'TTL_PASSED']]);
});

test('by local time each user gets it when it is that time there; where it has passed already, at once', async () => {
  const at = inHours(1);
  const people = await Promise.all([
    makePersonIn('Etc/GMT-5'),
    makePersonIn('Etc/GMT+5'),
    makePersonIn(null),
    makePersonIn('Asia/Kolkata'),
  ]);
  const [passed, later, unknown, kolkata] = people.map(({ id }) => localIdOf(id));
  const notification = await byEmail(people, { sendAt: at.toISOString(), localTime: true });
  await g.startWorker();
  const due = await dueOf(notification, 4);
  expect(due.get(later ?? '')).toBe(new Date(at.getTime() + 5 * hourMs).toISOString());
  expect(due.get(unknown ?? '')).toBe(at.toISOString());
  await until(
    async () =>
      (await g.db.delivery.count({ where: { notificationId: localIdOf(notification), status: 'SENT' } })) === 2,
  );
  const sent = await g.db.delivery.findMany({ where: { notificationId: localIdOf(notification), status: 'SENT' } });
  expect(sent.map(({ userId }) => userId).sort()).toEqual([passed, kolkata].sort());
});

/** Gives a person two installations beside the first: one in Tokyo, and one seen since then of which no zone is known. */
async function seenInTokyo({ externalUserId }: Awaited<ReturnType<typeof makePersonIn>>) {
  for (const [timeZone, seen] of [
    ['Etc/GMT+5', -2],
    ['Asia/Tokyo', 1],
    [null, 2],
  ] as const) {
    const { pushRegistrationId: installation } = await makeInstallation(g.server, { platform: 'WEB', timeZone });
    await personalize(g.server, { installation, userIdentity: { externalUserId } });
    await g.pool.query(sql`
      update installations set last_seen_at = now() + make_interval(hours => ${seen}) where id = ${installation}::uuid`);
  }
}

test('whose profile has no zone is where the installation seen last that has one is, by any channel', async () => {
  const at = inHours(-1);
  const [person, elsewhere] = [await makePersonIn(null), await makePersonIn('Etc/GMT+5')];
  await seenInTokyo(person);
  await seenInTokyo(elsewhere);
  const notification = await byEmail([person, elsewhere], {
    sendAt: at.toISOString(),
    localTime: true,
    ttlSeconds: 3_600,
  });
  await g.startWorker();
  await dueOf(notification, 2);
  const where = { notificationId: localIdOf(notification) };
  // In Tokyo it was that time nine hours ago, and the time to live has passed; by UTC it has not.
  await until(
    async () =>
      (await g.db.delivery.count({ where: { ...where, userId: localIdOf(person.id), status: 'EXPIRED' } })) === 1,
  );
  expect(await g.db.delivery.count({ where: { ...where, userId: localIdOf(elsewhere.id), status: 'QUEUED' } })).toBe(1);
});

test('quiet hours are those of the installation seen last, where a profile has no zone', async () => {
  const now = new Date();
  const tokyoHour = (offset: number) => `${String((now.getUTCHours() + 9 + offset + 24) % 24).padStart(2, '0')}:00`;
  const person = await makePersonIn(null);
  await seenInTokyo(person);
  const notification = await byEmail([person], { quietHours: { from: tokyoHour(-2), to: tokyoHour(3) } });
  await g.startWorker();
  const ends = inHours(2).toISOString();
  expect((await dueOf(notification, 1)).get(localIdOf(person.id))).toBe(ends);
  // Whoever takes it up before knows it too, and so does its story.
  const id = localIdOf(notification);
  await g.pool.query(sql`update deliveries set next_attempt_at = now() where notification_id = ${id}::uuid`);
  const delivery = await until(async () => {
    const found = await g.db.delivery.findFirstOrThrow({ where: { notificationId: id } });
    return found.nextAttemptAt.getTime() > now.getTime() + hourMs && found;
  });
  expect(delivery).toMatchObject({ status: 'QUEUED', attempts: 0 });
  const { body } = await g.server.send('query($id: ID!) { explainDelivery(delivery: $id) { next { code } } }', {
    id: delivery.id,
  });
  expect(body.data).toEqual({ explainDelivery: { next: { code: 'QUIET_HOURS' } } });
});

test("the time to live of a send by local time is counted from each user's own time", async () => {
  const at = inHours(0);
  const [passed, soon] = [await makePersonIn('Etc/GMT-5'), await makePersonIn('Etc/GMT+5')];
  const notification = await byEmail([passed, soon], { sendAt: at.toISOString(), localTime: true, ttlSeconds: 3_600 });
  await g.startWorker();
  await until(async () => {
    const delivery = await g.db.delivery.findFirst({
      where: { notificationId: localIdOf(notification), userId: localIdOf(passed.id) },
    });
    return delivery?.status === 'EXPIRED' && delivery.reason === 'TTL_PASSED';
  });
  expect(
    await g.db.delivery.count({
      where: { notificationId: localIdOf(notification), userId: localIdOf(soon.id), status: 'QUEUED' },
    }),
  ).toBe(1);
});

test.each([
  ['local time without a time', { localTime: true }, ['localTime']],
  ['what is no time of day', { quietHours: { from: '24:00', to: '07:00' } }, ['quietHours', 'from']],
  ['hours that are the whole day', { quietHours: { from: '07:00', to: '07:00' } }, ['quietHours', 'to']],
] as const)('%s is refused', async (_, rest, path) => {
  const input = toSend({ users: [{ id: randomUUID() }] }, rest as Partial<SendNotificationInput>);
  expect(await sendNotification(g.server, input)).toMatchObject({ code: 'VALUE_INVALID', path });
});
