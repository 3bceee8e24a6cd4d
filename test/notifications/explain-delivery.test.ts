import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { newEmail } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
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

test('of a delivery that there is not nothing is told', async () => {
  expect((await g.server.run(Explain, { delivery: randomUUID() })).explainDelivery).toBeNull();
});
