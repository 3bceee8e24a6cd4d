import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { findCapped } from '../../src/deliveries/frequency-cap.ts';
import { sql } from '../../src/storage/database.ts';
import { inTransaction } from '../../src/storage/transaction.ts';
import { graphql } from '../generated/gql.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, sendNotification, settledDeliveries } from '../support/operations.ts';
import { countRowsReadBy } from '../support/rows-read.ts';
import { globalIdOf, localIdOf, makePerson, makeSegment, mergeUsers, toSend } from '../support/send-operations.ts';
import { makeTopic } from '../support/topics.ts';

const g = useGatewayAndWorker();

const ReplayCapped = graphql(`
  mutation ReplayCapped($delivery: ID!) {
    replayDeliveries(input: { deliveries: [$delivery] }) {
      ... on ReplayDeliveriesPayload { count }
    }
  }
`);

type Rest = Partial<SendNotificationInput>;
const send = (user: { id: string }, rest: Rest = {}) =>
  makeNotification(g.server, toSend({ users: [{ id: user.id }] }, { channels: ['EMAIL'], ...rest }));

async function endsOf(notification: string): Promise<string[]> {
  const { deliveries } = await settledDeliveries(g.server, notification);
  return deliveries.nodes.map(({ status, reason }) => [status, ...(reason ? [reason] : [])].join(' ')).sort();
}

const oneADay: Rest = { frequencyCap: { max: 1, within: { days: 1 } } };
const capped = ['DISCARDED FREQUENCY_CAPPED'];

test('nobody gets more than so many messages within the time, whatever else is sent', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  await g.startWorker();
  expect(await endsOf(await send(person))).toEqual(['SENT']);
  expect(await endsOf(await send(person, oneADay))).toEqual(capped);
  expect(await endsOf(await send(person, { frequencyCap: { max: 2, within: { days: 1 } } }))).toEqual(['SENT']);
  // What was sent before counts no more.
  await g.pool.query(sql`
    update deliveries set begun_at = begun_at - interval '25 hours' where user_id = ${localIdOf(person.id)}::uuid`);
  expect(await endsOf(await send(person, oneADay))).toEqual(['SENT']);
});

test('one notification is one message, by however many addresses', async () => {
  const person = await makePerson(g.server, { emails: [newEmail(), newEmail()], phones: [newPhone()] });
  await g.startWorker();
  const channels: Rest['channels'] = ['PUSH', 'EMAIL', 'SMS'];
  expect(await endsOf(await send(person, { ...oneADay, channels }))).toEqual(['SENT', 'SENT', 'SENT', 'SENT']);
  expect(await endsOf(await send(person, { ...oneADay, channels }))).toEqual(Array(4).fill(capped[0]));
});

test('of a notification with a topic only what is of that topic counts', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const [news, offers] = [await makeTopic(g.server), await makeTopic(g.server)];
  await g.startWorker();
  expect(await endsOf(await send(person, { topic: news }))).toEqual(['SENT']);
  expect(await endsOf(await send(person, { ...oneADay, topic: offers }))).toEqual(['SENT']);
  expect(await endsOf(await send(person, { ...oneADay, topic: news }))).toEqual(capped);
});

/** Lets weeks pass since a notification's only delivery was made, which has failed meanwhile, and queues it again. */
async function replayAfterWeeks(notification: string): Promise<void> {
  const notificationId = localIdOf(notification);
  // Ids tell when something was made.
  await g.pool.query(sql`
    update deliveries set
      id = overlay(id::text placing '0190' from 1 for 4)::uuid, begun_at = begun_at - interval '30 days', status = 'FAILED',
      reason = 'PROVIDER_UNAVAILABLE'
    where notification_id = ${notificationId}::uuid`);
  const { id } = await g.db.delivery.findFirstOrThrow({ where: { notificationId } });
  const { replayDeliveries } = await g.server.run(ReplayCapped, { delivery: globalIdOf('Delivery', id) });
  expect(replayDeliveries).toMatchObject({ count: 1 });
}

test('what was made long ago counts when it is sent again, until that is long ago too', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  await g.startWorker();
  const old = await send(person);
  expect(await endsOf(old)).toEqual(['SENT']);
  await replayAfterWeeks(old);
  expect(await endsOf(old)).toEqual(['SENT']);
  expect(await endsOf(await send(person, oneADay))).toEqual(capped);
  await g.pool.query(sql`
    update deliveries set begun_at = begun_at - interval '25 hours' where user_id = ${localIdOf(person.id)}::uuid`);
  expect(await endsOf(await send(person, oneADay))).toEqual(['SENT']);
});

test('who has had thousands is looked up by what was sent within the time, and by no more', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const userId = localIdOf(person.id);
  await g.startWorker();
  const [old, latest] = [await send(person), await send(person)];
  await endsOf(old);
  await endsOf(latest);
  // Of long ago; one in ten was sent again, as long ago.
  await g.pool.query(sql`
    insert into deliveries (id, notification_id, target_key, channel, user_id, status, begun_at, replays)
    select
      overlay(uuid_v7()::text placing '0190' from 1 for 4)::uuid, ${localIdOf(old)}::uuid, gen_random_uuid(), 'EMAIL',
      ${userId}::uuid, 'SENT', now() - interval '30 days', case when nth % 10 = 0 then 1 else 0 end
    from generate_series(1, 5000) nth`);
  await g.pool.query('vacuum analyze deliveries');
  const notificationId = localIdOf(latest);
  const { id } = await g.db.delivery.findFirstOrThrow({ where: { notificationId } });
  const asked = { notificationId, topicId: null, deliveryIds: [id], cap: { max: 1, within: { days: 1 } } };
  const rowsRead = await inTransaction(g.db, (tx) =>
    countRowsReadBy(tx, async () => expect(await findCapped(tx, asked)).toEqual([id])),
  );
  // Users are so few here that all of them are read.
  expect(rowsRead).toBeLessThan(200);
});

test('what failed does not count', async () => {
  const person = await makePerson(g.server, { emails: [`${randomUUID()}+rejected@example.com`], phones: [newPhone()] });
  await g.startWorker();
  expect(await endsOf(await send(person))).toEqual(['FAILED PROVIDER_REJECTED']);
  expect(await endsOf(await send(person, { ...oneADay, channels: ['PUSH'] }))).toEqual(['SENT']);
});

test('what was sent to a user counts for whom that user was merged into', async () => {
  const [survivor, merged] = [
    await makePerson(g.server, { emails: [newEmail()] }),
    await makePerson(g.server, { emails: [newEmail()] }),
  ];
  await g.startWorker();
  await endsOf(await send(merged));
  await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
  expect(await endsOf(await send(survivor, oneADay))).toEqual([capped[0], capped[0]]);
});

test('notifications that come to one user at once are one after the other, for a hundred users', async () => {
  const segment = await makeSegment(g.server, []);
  await g.pool.query(sql`
    with made as (insert into users (id) select uuid_v7() from generate_series(1, 100) returning id),
    mailed as (
      insert into recipients (id, channel, user_id, address) select uuid_v7(), 'EMAIL', id, id || '@example.com' from made
    )
    insert into segment_members (segment_id, user_id) select ${localIdOf(segment)}::uuid, id from made`);
  const notifications = await Promise.all(
    Array.from({ length: 4 }, () =>
      makeNotification(g.server, toSend({ segments: [segment] }, { channels: ['EMAIL'], ...oneADay })),
    ),
  );
  await Promise.all([g.startWorker(), g.startWorker(), g.startWorker()]);
  const all = await Promise.all(notifications.map((id) => settledDeliveries(g.server, id)));
  expect(all.reduce((sum, { progress }) => sum + progress.sent, 0)).toBe(100);
  expect(all.reduce((sum, { progress }) => sum + progress.discarded, 0)).toBe(300);
});

test.each([
  ['no message at all', { max: 0, within: { days: 1 } }, 'VALUE_INVALID', 'max'],
  ['a time that is too long', { max: 1, within: { days: 91 } }, 'LIMIT_EXCEEDED', 'within'],
] as const)('a cap of %s is refused', async (_, frequencyCap, code, field) => {
  const input = toSend({ users: [{ id: randomUUID() }] }, { frequencyCap });
  expect(await sendNotification(g.server, input)).toMatchObject({ code, path: ['frequencyCap', field] });
});
