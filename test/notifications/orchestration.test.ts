import { readFile } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { fallBackTask } from '../../src/deliveries/fall-back-task.ts';
import { addJob } from '../../src/queue/job.ts';
import { applyReceipts } from '../../src/receipts/apply-receipts.ts';
import { sql } from '../../src/storage/database.ts';
import { inTransaction } from '../../src/storage/transaction.ts';
import { graphql } from '../generated/gql.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { cancelNotification } from '../support/cancel-operations.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, sendNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, makeSegment, mergeUsers, reportDelivery, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();

const ReplayDeliveries = graphql(`
  mutation ReplayDeliveries($input: ReplayDeliveriesInput!) {
    replayDeliveries(input: $input) {
      ... on ReplayDeliveriesPayload { count }
    }
  }
`);

const hour = 3_600;
const order = ['PUSH', 'EMAIL', 'SMS'] as const;
const fallback = (rest: Partial<SendNotificationInput> = {}): Partial<SendNotificationInput> => ({
  channels: [...order],
  orchestration: 'FALLBACK',
  ...rest,
});

const makeReachable = (tokenPrefix = '', emails = [newEmail()]) =>
  makePerson(g.server, { tokenPrefix, emails, phones: [newPhone()] });

const linesOf = ({ deliveries }: Awaited<ReturnType<typeof settledDeliveries>>) =>
  deliveries.nodes.map(({ channel, status, reason }) => [channel, status, ...(reason ? [reason] : [])].join(' '));

/** Channels and ends once nothing may follow any more, in their order. */
const settled = async (notification: string) => linesOf(await settledDeliveries(g.server, notification));

/** The deliveries once there are so many, as they are then. */
async function made(notification: string, count: number) {
  const where = { notificationId: localIdOf(notification) };
  return until(async () => {
    const deliveries = await g.db.delivery.findMany({ where, orderBy: { id: 'asc' } });
    const isSettled = deliveries.every(({ status }) => status !== 'QUEUED' && status !== 'SENDING');
    return deliveries.length === count && isSettled && deliveries;
  });
}

const send = (users: { id: string }[], rest: Partial<SendNotificationInput>) =>
  makeNotification(g.server, toSend({ users: users.map(({ id }) => ({ id })) }, rest));

/** Makes the time pass that a channel has. */
const letPass = (notification: string) =>
  g.pool.query(sql`
    update fallbacks set due_at = now() where notification_id = ${localIdOf(notification)}::uuid`);

test('the preferred channel goes first where the user can be reached there, else the first that can (rule M1)', async () => {
  const [prefers, unreachable, none, nowhere] = await Promise.all([
    makeReachable(),
    makeReachable(),
    makeReachable(),
    makePerson(g.server),
  ]);
  await g.pool.query(sql`
    update users set preferred_channel = 'SMS' where id in (${localIdOf(prefers.id)}::uuid, ${localIdOf(unreachable.id)}::uuid)`);
  await g.pool.query(sql`
    update recipients set is_subscribed = false
    where channel in ('SMS', 'PUSH') and user_id in (${localIdOf(unreachable.id)}::uuid, ${localIdOf(nowhere.id)}::uuid)`);
  const notification = await send([prefers, unreachable, none, nowhere], {
    channels: [...order],
    orchestration: 'PREFERRED',
  });
  await g.startWorker();
  const { deliveries, progress } = await settledDeliveries(g.server, notification);
  const lines = deliveries.nodes.map(({ user, channel, status, reason }) => [user?.id, channel, status, reason]);
  expect(progress.total).toBe(4);
  expect(lines).toEqual(
    expect.arrayContaining([
      [prefers.id, 'SMS', 'SENT', null],
      [unreachable.id, 'EMAIL', 'SENT', null],
      [none.id, 'PUSH', 'SENT', null],
      [nowhere.id, 'PUSH', 'DISCARDED', 'OPTED_OUT'],
    ]),
  );
});

test('the next channel follows one that fails, down to the last (rule M1)', async () => {
  const person = await makeReachable('rejected-', [`${crypto.randomUUID()}+bounced@example.com`]);
  const notification = await send([person], fallback());
  await g.startWorker();
  expect(await settled(notification)).toEqual([
    'PUSH FAILED PROVIDER_REJECTED',
    'EMAIL BOUNCED HARD_BOUNCE',
    'SMS SENT',
  ]);
});

test('the next channel follows also where the clock of the worker is wrong', async () => {
  const notification = await send([await makeReachable('rejected-')], fallback({ ttlSeconds: 120 }));
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 600_000 });
  try {
    await g.startWorker();
    expect(await settled(notification)).toEqual(['PUSH FAILED PROVIDER_REJECTED', 'EMAIL SENT']);
  } finally {
    vi.useRealTimers();
  }
});

test('channels that nobody names follow each other in the order that the schema tells', async () => {
  // The outbox refuses such a token and such addresses.
  const emails = [`${crypto.randomUUID()}+rejected@example.com`];
  const phones = [`${newPhone().slice(0, -4)}0003`];
  const person = await makePerson(g.server, { tokenPrefix: 'rejected-', emails, phones });
  const notification = await send([person], { orchestration: 'FALLBACK' });
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  const tried = deliveries.nodes.map(({ channel }) => channel).join(', ');
  expect(tried).toBe('PUSH, EMAIL, SMS, IN_APP');
  expect(await readFile('schema.graphql', 'utf8')).toContain(`else in this one: ${tried}.`);
});

test('no channel follows what a provider has taken over, unless there is a time', async () => {
  const notification = await send([await makeReachable()], fallback());
  await g.startWorker();
  expect(await settled(notification)).toEqual(['PUSH SENT']);
});

test('the next channel follows what is not opened in time, and it is done when none may follow (rule M1)', async () => {
  const notification = await send(
    [await makeReachable()],
    fallback({ fallbackAfterSeconds: hour, channels: ['PUSH', 'EMAIL'] }),
  );
  await g.startWorker();
  await made(notification, 1);
  await g.startWorker();
  const waiting = await g.server.send(
    'query($id: ID!) { notification(id: $id) { status progress { isComplete total } } }',
    {
      id: notification,
    },
  );
  expect(waiting.body.data).toEqual({ notification: { status: 'SENDING', progress: { isComplete: false, total: 1 } } });
  await letPass(notification);
  expect(await settled(notification)).toEqual(['PUSH SENT', 'EMAIL SENT']);
});

test('a time that passes by itself is enough', async () => {
  const notification = await send(
    [await makeReachable()],
    fallback({ fallbackAfterSeconds: 1, channels: ['PUSH', 'SMS'] }),
  );
  await g.startWorker({}, { sweepMs: 60_000 });
  expect(await settled(notification)).toEqual(['PUSH SENT', 'SMS SENT']);
});

test('what is opened is followed by nothing (rule M1)', async () => {
  const notification = await send([await makeReachable()], fallback({ fallbackAfterSeconds: hour }));
  await g.startWorker();
  const [delivery] = await made(notification, 1);
  await reportDelivery(g.server, { delivery: delivery?.id ?? '', status: 'OPENED' });
  await letPass(notification);
  expect(await settled(notification)).toEqual(['PUSH OPENED']);
});

test('what is opened or fails ends the wait at once, whoever tells of it', async () => {
  const people = [await makeReachable(), await makeReachable(), await makeReachable()];
  const rest = { fallbackAfterSeconds: hour, channels: ['EMAIL' as const, 'SMS' as const] };
  const notifications = await Promise.all(people.map((person) => send([person], fallback(rest))));
  await g.startWorker({}, { sweepMs: 60_000 });
  const [opened = '', told = '', bounced = ''] = notifications;
  const tell = async (notification: string, receipt: 'OPENED' | 'BOUNCED') => {
    const [delivery] = await made(notification, 1);
    const about = { deliveryId: delivery?.id ?? '' };
    const reason = receipt === 'BOUNCED' ? ('HARD_BOUNCE' as const) : null;
    const incoming = { about, receipt, reason, providerCode: null, at: null, isAddressGone: false };
    await inTransaction(g.db, (tx) => applyReceipts(tx, [{ ...incoming, via: 'link' }]), 'GENERIC');
  };
  const [delivery] = await made(opened, 1);
  await reportDelivery(g.server, { delivery: delivery?.id ?? '', status: 'CLICKED' });
  await tell(told, 'OPENED');
  await tell(bounced, 'BOUNCED');
  expect(await settled(opened)).toEqual(['EMAIL CLICKED']);
  expect(await settled(told)).toEqual(['EMAIL OPENED']);
  expect((await made(bounced, 2)).map(({ channel, status }) => `${channel} ${status}`)).toEqual([
    'EMAIL BOUNCED',
    'SMS SENT',
  ]);
});

test('that a message arrived, and what no other channel waits for, is told without a job', async () => {
  const person = await makeReachable();
  const waiting = await send([person], fallback({ fallbackAfterSeconds: hour, channels: ['EMAIL', 'SMS'] }));
  const last = await send([person], fallback({ channels: ['EMAIL'] }));
  const worker = await g.startWorker({}, { sweepMs: 60_000 });
  const [[first], [second]] = [await made(waiting, 1), await made(last, 1)];
  await worker.stop();
  const jobs = async () => (await g.pool.query(sql`select key, run_at from graphile_worker.jobs order by id`)).rows;
  const before = await jobs();
  await reportDelivery(g.server, { delivery: first?.id ?? '', status: 'DELIVERED' });
  await reportDelivery(g.server, { delivery: second?.id ?? '', status: 'CLICKED' });
  expect(await jobs()).toEqual(before);
});

test('an address at which it has failed already, as a merge brings one, is passed over for the channel after it', async () => {
  const person = await makeReachable('', []);
  const other = await makePerson(g.server, { emails: [`${crypto.randomUUID()}+rejected@example.com`] });
  await g.pool.query(sql`
    update recipients set is_subscribed = false where channel = 'PUSH' and user_id = ${localIdOf(other.id)}::uuid`);
  const notification = await send([person, other], fallback({ fallbackAfterSeconds: hour }));
  await g.startWorker();
  expect((await made(notification, 2)).map(({ channel, status }) => `${channel} ${status}`).sort()).toEqual([
    'EMAIL FAILED',
    'PUSH SENT',
  ]);
  const ofOther = { notificationId: localIdOf(notification), userId: localIdOf(other.id) };
  await until(async () => (await g.db.fallback.count({ where: ofOther })) === 0);
  await mergeUsers(g.server, { survivor: person.id, merged: other.id });
  await letPass(notification);
  expect((await settled(notification)).toSorted()).toEqual(['EMAIL FAILED PROVIDER_REJECTED', 'PUSH SENT', 'SMS SENT']);
});

test('the next channel waits until every installation has failed', async () => {
  const person = await makeReachable('rejected-');
  const other = await makePerson(g.server);
  await mergeUsers(g.server, { survivor: person.id, merged: other.id });
  const notification = await send([person], fallback({ fallbackAfterSeconds: hour, channels: ['PUSH', 'EMAIL'] }));
  await g.startWorker();
  const deliveries = await made(notification, 2);
  expect(deliveries.map(({ status }) => status).sort()).toEqual(['FAILED', 'SENT']);
  await g.pool.query(sql`
    update deliveries set status = 'BOUNCED', reason = 'HARD_BOUNCE'
    where notification_id = ${localIdOf(notification)}::uuid and status = 'SENT'`);
  expect((await settled(notification)).at(-1)).toBe('EMAIL SENT');
});

test('what ends while it is decided is not forgotten', async () => {
  const person = await makeReachable('rejected-');
  const other = await makePerson(g.server);
  await mergeUsers(g.server, { survivor: person.id, merged: other.id });
  const notification = await send([person], fallback({ fallbackAfterSeconds: hour, channels: ['PUSH', 'EMAIL'] }));
  const notificationId = localIdOf(notification);
  const ofIt = sql`notification_id = ${notificationId}::uuid`;
  const isFailureTold = async () => {
    const { rowCount } = await g.pool.query(sql`
      select from deliveries where ${ofIt} and status = 'FAILED' and not falls_back`);
    return rowCount === 1;
  };
  await g.startWorker({}, { sweepMs: 60_000 });
  await until(isFailureTold);
  await made(notification, 2);
  // As it stood when the first of the two had just failed.
  await g.pool.query(sql`update deliveries set falls_back = true where ${ofIt}`);
  const meanwhile = await g.pool.connect();
  // Deliveries can be read, but not written, until this ends.
  await meanwhile.query('begin; lock table deliveries in exclusive mode');
  await addJob(g.db, fallBackTask, { notificationId });
  await until(async () => {
    const { rowCount } = await g.pool.query(sql`
      select from pg_locks where relation = 'deliveries'::regclass and not granted`);
    return rowCount === 1;
  });
  await meanwhile.query(sql`
    update deliveries set status = 'BOUNCED', reason = 'HARD_BOUNCE' where ${ofIt} and status = 'SENT'`);
  await meanwhile.query('commit');
  meanwhile.release();
  await until(isFailureTold);
  await addJob(g.db, fallBackTask, { notificationId });
  expect((await settled(notification)).at(-1)).toBe('EMAIL SENT');
});

test('a decision locks users before deliveries, as all do', async () => {
  const person = await makeReachable();
  const notification = await send([person], fallback({ fallbackAfterSeconds: hour, channels: ['PUSH', 'EMAIL'] }));
  const notificationId = localIdOf(notification);
  await g.startWorker({}, { sweepMs: 60_000 });
  await made(notification, 1);
  const other = await g.pool.connect();
  await other.query('begin');
  await other.query(sql`select from users where id = ${localIdOf(person.id)}::uuid for no key update`);
  await letPass(notification);
  await addJob(g.db, fallBackTask, { notificationId });
  const isWaiting = async () => {
    const { rowCount } = await g.pool.query(sql`
      select from pg_stat_activity where wait_event_type = 'Lock' and query like '%from users where id%for share%'`);
    return rowCount === 1;
  };
  await until(isWaiting);
  const held = other.query(sql`
    select from deliveries where notification_id = ${notificationId}::uuid for no key update nowait`);
  await expect(held).resolves.toMatchObject({ rowCount: 1 });
  await other.query('commit');
  other.release();
  expect(await settled(notification)).toEqual(['PUSH SENT', 'EMAIL SENT']);
});

test('channels at which the user cannot be reached are left out', async () => {
  const person = await makeReachable('rejected-');
  await g.pool.query(sql`
    update recipients set is_subscribed = false where channel = 'EMAIL' and user_id = ${localIdOf(person.id)}::uuid`);
  const notification = await send([person], fallback());
  await g.startWorker();
  expect(await settled(notification)).toEqual(['PUSH FAILED PROVIDER_REJECTED', 'SMS SENT']);
});

test('workers that decide at once let each channel follow once, for three hundred users', async () => {
  const segment = await makeSegment(g.server, []);
  await g.pool.query(sql`
    with made as (insert into users (id) select uuid_v7() from generate_series(1, 300) returning id),
    mailed as (
      insert into recipients (id, channel, user_id, address)
      select uuid_v7(), 'EMAIL', id, id || '+rejected@example.com' from made
    ),
    phoned as (
      insert into recipients (id, channel, user_id, address)
      select uuid_v7(), 'SMS', id, '+38591' || (1000009 + 10 * row_number() over ()) from made
    )
    insert into segment_members (segment_id, user_id) select ${localIdOf(segment)}::uuid, id from made`);
  const notification = await makeNotification(
    g.server,
    toSend({ segments: [segment] }, { channels: ['EMAIL', 'SMS'], orchestration: 'FALLBACK' }),
  );
  await Promise.all([g.startWorker(), g.startWorker(), g.startWorker()]);
  const { progress } = await settledDeliveries(g.server, notification);
  expect(progress).toMatchObject({ total: 600, failed: 300, sent: 300 });
});

test('a user who is merged while a channel is tried is followed to the survivor', async () => {
  const [survivor, person] = [await makeReachable(), await makePerson(g.server)];
  const notification = await send([person], fallback({ fallbackAfterSeconds: hour, channels: ['PUSH', 'EMAIL'] }));
  await g.startWorker();
  await made(notification, 1);
  await mergeUsers(g.server, { survivor: survivor.id, merged: person.id });
  await letPass(notification);
  expect(await settled(notification)).toEqual(['PUSH SENT', 'EMAIL SENT']);
});

test('what is queued again before the next channel has followed is waited for again', async () => {
  const rest = { fallbackAfterSeconds: hour, channels: ['PUSH' as const, 'EMAIL' as const] };
  const notification = await send([await makeReachable()], fallback(rest));
  const worker = await g.startWorker();
  const [delivery] = await made(notification, 1);
  await worker.stop();
  await g.pool.query(sql`
    update deliveries set status = 'FAILED', reason = 'PROVIDER_UNAVAILABLE'
    where notification_id = ${localIdOf(notification)}::uuid`);
  const input = { notification };
  const { replayDeliveries } = await g.server.run(ReplayDeliveries, { input });
  expect(replayDeliveries).toMatchObject({ count: 1 });
  await g.startWorker();
  await until(async () => (await made(notification, 1)).every(({ status }) => status === 'SENT'));
  await reportDelivery(g.server, { delivery: delivery?.id ?? '', status: 'OPENED' });
  await letPass(notification);
  expect(await settled(notification)).toEqual(['PUSH OPENED']);
});

test('nothing follows what was called off', async () => {
  const notification = await send([await makeReachable()], fallback({ fallbackAfterSeconds: hour }));
  await g.startWorker();
  await made(notification, 1);
  expect(await cancelNotification(g.server, notification)).toMatchObject({ notification: { status: 'CANCELLED' } });
  await letPass(notification);
  await until(async () => (await g.db.fallback.count({ where: { notificationId: localIdOf(notification) } })) === 0);
  expect(await settled(notification)).toEqual(['PUSH SENT']);
});

test.each([
  ['a time without FALLBACK', { fallbackAfterSeconds: 60 }],
  ['no time at all', { orchestration: 'FALLBACK', fallbackAfterSeconds: 0 }],
] as const)('%s is refused', async (_, rest) => {
  expect(await sendNotification(g.server, toSend({ everyone: true }, rest))).toMatchObject({
    code: 'VALUE_INVALID',
    path: ['fallbackAfterSeconds'],
  });
});
