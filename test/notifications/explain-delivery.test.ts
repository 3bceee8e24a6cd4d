import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { insertPause } from '../../src/deliveries/channel-pause-store.ts';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { newEmail } from '../support/addresses.ts';
import { sendersOf } from '../support/channel-operations.ts';
import { startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeApp } from '../support/make-app.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { makeDynamicSegment } from '../support/segments/operations.ts';
import { localIdOf, makePerson, makeSegment, settledInAHurry, toSend } from '../support/send-operations.ts';
import { track } from '../support/topics.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

const Explain = graphql(`
  query ExplainDelivery($delivery: ID!) {
    explainDelivery(delivery: $delivery) {
      delivery { status reason }
      origins { code text }
      steps { at code text providerCode }
      next { code at text }
    }
  }
`);

async function explain(notification: string) {
  const delivery = await until(() => g.db.delivery.findFirst({ where: { notificationId: localIdOf(notification) } }));
  const { explainDelivery } = await g.server.run(Explain, { delivery: delivery.id });
  if (!explainDelivery) throw new Error('There is no such delivery.');
  return explainDelivery;
}

const byEmail = (target: SendNotificationInput['target'], rest: Partial<SendNotificationInput> = {}) =>
  makeNotification(g.server, toSend(target, { channels: ['EMAIL'], ...rest }));

test('why it was made is told by what the target says, as far as that still holds (promise N5)', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const tag = randomUUID();
  await g.pool.query(sql`update users set tags = ${[tag]}::text[] where id = ${localIdOf(person.id)}::uuid`);
  const segment = await makeSegment(g.server, [person.id]);
  const all = await byEmail({
    users: [{ externalUserId: person.externalUserId ?? '' }],
    segments: [segment],
    filter: { tag },
  });
  const itself = await makeNotification(g.server, toSend({ installations: [person.installation.id] }));
  const nobody = await byEmail({ users: [{ externalUserId: randomUUID() }] });
  const left = await byEmail({ filter: { tag } });
  await g.startWorker();
  for (const notification of [all, itself, nobody, left]) await settledDeliveries(g.server, notification);
  const codesOf = async (notification: string) => (await explain(notification)).origins.map(({ code }) => code);
  expect(await codesOf(all)).toEqual(['NAMED_USER', 'SEGMENT', 'FILTER']);
  expect(await codesOf(itself)).toEqual(['NAMED_INSTALLATION']);
  expect(await codesOf(nobody)).toEqual(['UNKNOWN_USER']);
  await g.pool.query(sql`update users set tags = '{}' where id = ${localIdOf(person.id)}::uuid`);
  expect(await codesOf(left)).toEqual(['NO_LONGER']);
});

test('why it was made is told also where the target asks what the user did', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const name = `event-${randomUUID()}`;
  await track(g.server, { id: person.id }, name);
  const segment = await makeDynamicSegment(g.server, { event: { name } });
  const notification = await byEmail({ segments: [segment], filter: { event: { name, count: 1 } } });
  await g.startWorker();
  await settledDeliveries(g.server, notification);
  expect((await explain(notification)).origins.map(({ code }) => code)).toEqual(['SEGMENT', 'FILTER']);
});

test('each attempt is told, with what the provider said, and why it ended (promise N5)', async () => {
  const person = await makePerson(g.server, { emails: [`${randomUUID()}+retry-once@example.com`] });
  const notification = await byEmail({ users: [{ id: person.id }] });
  await g.startWorker();
  await settledInAHurry(g, notification);
  const { steps, next } = await explain(notification);
  expect(steps.map(({ code, providerCode }) => [code, providerCode])).toEqual([
    ['QUEUED', null],
    ['RETRY', 'SIMULATED_RETRY_ONCE'],
    ['SENT', 'SIMULATED_RETRY_ONCE'],
  ]);
  expect(steps[1]?.text).toBe('Attempt 1 did not get through (SIMULATED_RETRY_ONCE).');
  expect(next).toBeNull();
});

test('an end is told with its reason', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  await g.pool.query(sql`update recipients set is_subscribed = false where user_id = ${localIdOf(person.id)}::uuid`);
  const notification = await byEmail({ users: [{ id: person.id }] });
  await g.startWorker();
  await settledDeliveries(g.server, notification);
  const { steps } = await explain(notification);
  expect(steps.map(({ text }) => text)).toEqual([
    'It was not sent, on purpose. The person has opted out at this address.',
  ]);
});

test('what comes next is told: another attempt, another channel, the end of quiet hours', async () => {
  const putOff = await makePerson(g.server, { emails: [`${randomUUID()}+unavailable@example.com`] });
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const hour = (offset: number) => `${String((new Date().getUTCHours() + offset + 24) % 24).padStart(2, '0')}:00`;
  const retried = await byEmail({ users: [{ id: putOff.id }] });
  const followed = await byEmail(
    { users: [{ id: person.id }] },
    { channels: ['PUSH', 'EMAIL'], orchestration: 'FALLBACK', fallbackAfterSeconds: 3_600 },
  );
  const quiet = await byEmail({ users: [{ id: person.id }] }, { quietHours: { from: hour(-2), to: hour(3) } });
  await g.startWorker();
  const nextOf = (notification: string, code: string) =>
    until(async () => {
      const { next } = await explain(notification);
      return next?.code === code && next;
    });
  expect((await nextOf(retried, 'RETRYING')).at).not.toBeNull();
  expect(await nextOf(followed, 'FALLBACK')).toMatchObject({
    at: expect.any(String),
    text: 'Unless it is known to be enough by then, EMAIL follows.',
  });
  expect((await nextOf(quiet, 'QUIET_HOURS')).at).not.toBeNull();
});

describe('that the provider is down is told', () => {
  test('of what it has refused, with what it said, and of what waits for it', async () => {
    const smtp = await startFakeSmtp({ login: { user: 'carillon', password: 'right' } });
    onTestFinished(smtp.close);
    const url = smtp.url.replace('right', 'wrong');
    await g.startWorker({ smtp: { url, from: 'carillon@example.com' } }, { channelPauseMs: 60_000 });
    const person = await makePerson(g.server, { emails: [newEmail()] });
    const refused = await byEmail({ users: [{ id: person.id }] });
    const pause = await until(() => g.db.channelPause.findFirst());
    onTestFinished(async () => void (await g.pool.query('delete from channel_pauses')));
    const waiting = await byEmail({ users: [{ id: person.id }] });
    const next = { code: 'PAUSED', at: pause.probeAt.toISOString() };
    await until(async () => (await explain(refused)).next?.code === 'PAUSED');
    const told = await explain(refused);
    expect(told.next).toMatchObject(next);
    expect(told.steps.map(({ code, providerCode }) => [code, providerCode])).toEqual([
      ['QUEUED', null],
      ['RETRY', '535 5.7.8'],
    ]);
    expect(told.steps[1]?.text).toBe(
      'The provider takes nothing at the moment (535 5.7.8): this attempt does not count.',
    );
    const other = await explain(waiting);
    expect(other.next).toMatchObject(next);
    expect(other.steps.map(({ code, providerCode }) => [code, providerCode])).toEqual([['QUEUED', null]]);
  });

  test('only of the one that would send it', async () => {
    const worker = await g.startWorker();
    const person = await makePerson(g.server);
    const hour = (offset: number) => `${String((new Date().getUTCHours() + offset + 24) % 24).padStart(2, '0')}:00`;
    const quietHours = { from: hour(-2), to: hour(3) };
    const target = { users: [{ id: person.id }] };
    const notification = await makeNotification(g.server, toSend(target, { channels: ['PUSH'], quietHours }));
    await until(async () => (await explain(notification)).next?.code === 'QUIET_HOURS');
    await worker.stop();
    const pauseFor = async (appId: string, provider: string, pauseMs: number) =>
      insertPause(g.db, { appId, channel: 'PUSH', provider }, { cause: 'REFUSED', providerCode: null, pauseMs });
    const mine = localIdOf((await sendersOf(g.server)).id);
    const { id: another } = await makeApp(g);
    onTestFinished(async () => void (await g.pool.query('delete from channel_pauses')));
    await pauseFor(mine, 'fcm', 90_000);
    expect((await explain(notification)).next?.code).toBe('QUIET_HOURS');
    await g.pool.query(sql`
      update deliveries set next_attempt_at = now() where notification_id = ${localIdOf(notification)}::uuid`);
    const { probeAt } = await g.db.channelPause.findFirstOrThrow();
    await pauseFor(mine, 'apns', 30_000);
    await pauseFor(another, 'fcm', 30_000);
    expect((await explain(notification)).next).toMatchObject({ code: 'PAUSED', at: probeAt.toISOString() });
    await g.db.channelPause.deleteMany({ where: { appId: mine, provider: 'fcm' } });
    expect((await explain(notification)).next?.code).toBe('WAITING');
  });
});

test('of a delivery that there is not nothing is told', async () => {
  expect((await g.server.run(Explain, { delivery: randomUUID() })).explainDelivery).toBeNull();
});
