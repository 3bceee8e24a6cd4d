import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { ReplayDeliveriesInput } from '../generated/graphql.ts';
import { newEmail } from '../support/addresses.ts';
import { cancelNotification } from '../support/cancel-operations.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { globalIdOf, localIdOf, makePerson, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();

const Replay = graphql(`
  mutation Replay($input: ReplayDeliveriesInput!) {
    replayDeliveries(input: $input) {
      __typename
      ... on Error { code path }
      ... on ReplayDeliveriesPayload { count hasMore notifications { id } }
    }
  }
`);
const replay = async (input: ReplayDeliveriesInput) => (await g.server.run(Replay, { input })).replayDeliveries;

/** A notification to one e-mail address that has ended so, and its delivery. */
async function makeEnded(status: string, reason: string, tag = '') {
  const person = await makePerson(g.server, { emails: [tag ? `${randomUUID()}+${tag}@example.com` : newEmail()] });
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] }),
  );
  const worker = await g.startWorker();
  await settledDeliveries(g.server, notification);
  await worker.stop();
  const id = localIdOf(notification);
  await g.pool.query(sql`
    update deliveries set status = ${status}::delivery_status, reason = ${reason}::delivery_reason
    where notification_id = ${id}::uuid and status <> ${status}::delivery_status`);
  const delivery = await g.db.delivery.findFirstOrThrow({ where: { notificationId: id } });
  return { notification, delivery: globalIdOf('Delivery', delivery.id) };
}

async function ended(notification: string) {
  const worker = await g.startWorker();
  const { deliveries, progress } = await settledDeliveries(g.server, notification);
  await worker.stop();
  const [delivery] = deliveries.nodes;
  return { delivery, progress };
}

test('what a provider did not take in all attempts is sent again, with an event and a new count of attempts', async () => {
  const { notification } = await makeEnded('FAILED', 'PROVIDER_UNAVAILABLE');
  await g.pool.query(sql`
    update deliveries set attempts = 8 where notification_id = ${localIdOf(notification)}::uuid`);
  expect(await replay({ notification })).toMatchObject({
    count: 1,
    hasMore: false,
    notifications: [{ id: notification }],
  });
  const { delivery, progress } = await ended(notification);
  expect(delivery).toMatchObject({ status: 'SENT', reason: null, attempts: 1 });
  expect(delivery?.events.map(({ status }) => status)).toEqual(['QUEUED', 'SENT', 'FAILED', 'QUEUED', 'SENT']);
  expect(progress).toMatchObject({ total: 1, sent: 1, failed: 0, reached: { sent: 1 } });
  expect(await g.db.outboxMessage.count({ where: { notificationId: localIdOf(notification) } })).toBe(2);
});

test('receipts stay right, however often what had been sent comes back', async () => {
  const { notification } = await makeEnded('BOUNCED', 'HARD_BOUNCE', 'bounced');
  for (const _ of [1, 2]) {
    await g.pool.query(sql`
      update deliveries set reason = 'SOFT_BOUNCE' where notification_id = ${localIdOf(notification)}::uuid`);
    expect(await replay({ notification })).toMatchObject({ count: 1 });
    const { delivery, progress } = await ended(notification);
    expect(delivery?.status).toBe('BOUNCED');
    expect(progress).toMatchObject({ total: 1, bounced: 1, reached: { sent: 1 } });
  }
  // What ends before it is sent had not come back from anywhere.
  await g.pool.query(sql`
    update deliveries set reason = 'SOFT_BOUNCE' where notification_id = ${localIdOf(notification)}::uuid`);
  await replay({ notification });
  await g.pool.query(sql`
    update deliveries set status = 'EXPIRED', reason = 'TTL_PASSED' where notification_id = ${localIdOf(notification)}::uuid`);
  expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({
    expired: 1,
    reached: { sent: 0 },
  });
});

test('what has expired gets its time to live anew', async () => {
  const { notification } = await makeEnded('EXPIRED', 'TTL_PASSED');
  await g.pool.query(sql`
    update notifications set expires_at = now() - interval '1 day' where id = ${localIdOf(notification)}::uuid`);
  expect(await replay({ notification })).toMatchObject({ count: 1 });
  expect((await ended(notification)).delivery?.status).toBe('SENT');
});

test('whether it may be sent is decided anew', async () => {
  const { notification } = await makeEnded('FAILED', 'PROVIDER_UNAVAILABLE');
  await g.pool.query(sql`
    update recipients set is_subscribed = false
    where id in (select recipient_id from deliveries where notification_id = ${localIdOf(notification)}::uuid)`);
  await replay({ notification });
  expect((await ended(notification)).delivery).toMatchObject({ status: 'DISCARDED', reason: 'OPTED_OUT' });
});

test('only what ended for the reasons asked for is queued, a thousand a call', async () => {
  const { notification } = await makeEnded('FAILED', 'PROVIDER_REJECTED');
  await g.pool.query(sql`
    insert into deliveries (id, notification_id, target_key, channel, status, reason)
    select uuid_v7(), ${localIdOf(notification)}::uuid, gen_random_uuid(), 'EMAIL', 'DISCARDED', 'CHANNEL_NOT_CONFIGURED'
    from generate_series(1, 1001)`);
  expect(await replay({ notification })).toMatchObject({ count: 1_000, hasMore: true });
  expect(await replay({ notification })).toMatchObject({ count: 1, hasMore: false });
  expect(await replay({ notification })).toMatchObject({ count: 0, hasMore: false });
  expect(await replay({ notification, reasons: ['PROVIDER_REJECTED'] })).toMatchObject({ count: 1 });
});

test('deliveries that are named are sent again all, or none', async () => {
  const [first, second, sent] = [
    await makeEnded('FAILED', 'PROVIDER_REJECTED'),
    await makeEnded('EXPIRED', 'TTL_PASSED'),
    await makeEnded('SENT', 'HARD_BOUNCE'),
  ];
  const refused = { code: 'STATE_CONFLICT', path: ['deliveries'] };
  expect(await replay({ deliveries: [first.delivery, sent.delivery] })).toMatchObject(refused);
  expect((await settledDeliveries(g.server, first.notification)).progress.failed).toBe(1);
  const again = { deliveries: [first.delivery, second.delivery], idempotencyKey: randomUUID() };
  const done = await replay(again);
  expect(done).toMatchObject({ count: 2, hasMore: false });
  expect(await replay(again)).toMatchObject({ count: 2 });
  expect((await ended(first.notification)).delivery?.status).toBe('SENT');
  expect((await ended(second.notification)).delivery?.status).toBe('SENT');
});

test('what was called off, and what ended for good, is not sent again', async () => {
  const person = await makePerson(g.server, { emails: [newEmail()] });
  const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
  await cancelNotification(g.server, notification);
  expect(await replay({ notification })).toMatchObject({ code: 'STATE_CONFLICT', path: ['notification'] });
  for (const reason of ['HARD_BOUNCE', 'OPTED_OUT', 'CALLER_CANCELLED', 'ERASED'] as const) {
    expect(await replay({ notification, reasons: [reason] })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['reasons', '0'],
    });
  }
  expect(await replay({ notification: randomUUID() })).toMatchObject({ code: 'NOT_FOUND', path: ['notification'] });
  expect(await replay({ deliveries: [randomUUID()] })).toMatchObject({ code: 'NOT_FOUND', path: ['deliveries', '0'] });
  expect(await replay({})).toMatchObject({ code: 'VALUE_INVALID', path: ['notification'] });
});
