import pg from 'pg';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { attemptsMax } from '../../src/deliveries/decide-outcome.ts';
import { sql } from '../../src/storage/database.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { cancelNotification } from '../support/cancel-operations.ts';
import { startBrokenServer } from '../support/fakes/broken-server.ts';
import { startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { depersonalize, makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, mergeUsers, settledInAHurry, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const fake of opened.splice(0)) await fake.close();
});

function closeAfterTest<Fake extends { close(): Promise<void> }>(fake: Fake): Fake {
  opened.push(fake);
  return fake;
}

/** How many deliveries of a notification are in which status, and with how many attempts at most. */
async function countStatuses(notification: string): Promise<Record<string, number>> {
  const { rows } = await g.pool.query<{ status: string; count: number }>(sql`
    select status, count(*)::int as count from deliveries where notification_id = ${localIdOf(notification)}::uuid group by status`);
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

/** Fans out by a worker that sends nothing yet, as nothing that is queued is due. */
async function makeQueued(send: ReturnType<typeof toSend>): Promise<string> {
  await g.pool.query(sql`
    create or replace function put_off() returns trigger language plpgsql as
    $$ begin new.next_attempt_at = now() + interval '1 hour'; return new; end $$`);
  await g.pool.query(
    sql`create or replace trigger put_off before insert on deliveries for each row execute function put_off()`,
  );
  const notification = await makeNotification(g.server, send);
  const worker = await g.startWorker();
  await until(async () => Object.keys(await countStatuses(notification)).length > 0);
  await worker.stop();
  await g.pool.query(sql`drop trigger put_off on deliveries`);
  return notification;
}

/** Makes what `makeQueued` put off due. */
const makeDue = () => g.pool.query(sql`update deliveries set next_attempt_at = now() where status = 'QUEUED'`);

/** The first transaction of this process that runs a statement with `words` is committed, but is told that it may not be. */
function loseAnswerToCommitOf(words: string): () => boolean {
  const { query } = pg.Client.prototype;
  let concerned: unknown = null;
  let isLost = false;
  const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(async function (
    this: pg.Client,
    ...args: unknown[]
  ) {
    const [statement] = args;
    const text = typeof statement === 'object' && statement && 'text' in statement ? statement.text : statement;
    const answer = await Reflect.apply(query, this, args);
    if (String(text).includes(words)) concerned ??= this;
    if (text !== 'commit' || concerned !== this) return answer;
    spy.mockRestore();
    isLost = true;
    throw new Error('Connection terminated unexpectedly');
  });
  return () => isLost;
}

describe('one delivery that cannot be sent', () => {
  test('because its address cannot be decrypted fails alone, and at once', async () => {
    const [bad, good] = [await makePerson(g.server), await makePerson(g.server)];
    const { pushRegistrationId: id } = bad.installation;
    await g.db.installation.update({ where: { id }, data: { addressCipher: Buffer.alloc(64) } });
    const target = { users: [{ id: bad.id }, { id: good.id }] };
    const notification = await makeNotification(g.server, toSend(target, { channels: ['PUSH'] }));
    await g.startWorker();
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(
      deliveries.nodes.map(({ user, status, reason, providerCode }) => ({
        user: user?.id,
        status,
        reason,
        providerCode,
      })),
    ).toEqual(
      expect.arrayContaining([
        { user: bad.id, status: 'FAILED', reason: 'RENDER_FAILED', providerCode: 'ADDRESS_UNREADABLE' },
        { user: good.id, status: 'SENT', reason: null, providerCode: null },
      ]),
    );
  });

  test('because its channel throws is tried again and given up, and takes no other with it', async () => {
    const [poisonEmail, goodEmail] = [newEmail(), newEmail()];
    const person = await makePerson(g.server, { emails: [poisonEmail, goodEmail] });
    await g.pool.query(`alter table outbox_messages add constraint poison check (address <> '${poisonEmail}')`);
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] }),
    );
    await g.startWorker();
    const { deliveries, progress } = await settledInAHurry(g, notification);
    expect(progress).toMatchObject({ total: 2, sent: 1, failed: 1 });
    expect(deliveries.nodes.find(({ status }) => status === 'FAILED')).toMatchObject({
      reason: 'PROVIDER_UNAVAILABLE',
      providerCode: 'INTERNAL_ERROR',
      attempts: attemptsMax,
    });
    expect(deliveries.nodes.find(({ status }) => status === 'SENT')?.attempts).toBe(1);
    await g.pool.query('alter table outbox_messages drop constraint poison');
  });

  test('because every worker dies of it is given up in the end', async () => {
    const person = await makePerson(g.server);
    const notification = await makeQueued(toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'] }));
    await g.pool.query(
      sql`update deliveries set attempts = ${attemptsMax}, next_attempt_at = now() where status = 'QUEUED'`,
    );
    await g.startWorker();
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes).toMatchObject([
      { status: 'FAILED', reason: 'PROVIDER_UNAVAILABLE', providerCode: 'INTERRUPTED' },
    ]);
    expect(await g.db.outboxMessage.count({ where: { notificationId: localIdOf(notification) } })).toBe(0);
  });
});

describe('a channel that is down', () => {
  test('keeps its deliveries, counts no attempt, stops no other channel, and sends when it is back', async () => {
    const smtp = closeAfterTest(await startFakeSmtp({ login: { user: 'carillon', password: 'right' } }));
    const emails = Array.from({ length: 40 }, () => newEmail());
    const person = await makePerson(g.server, { emails, phones: [newPhone()] });
    const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
    const wrong = { url: smtp.url.replace('right', 'wrong'), from: 'carillon@example.com' };
    const worker = await g.startWorker({ smtp: wrong }, { channelPauseMs: 60_000 });
    await until(async () => {
      const { QUEUED, SENT } = await countStatuses(notification);
      return QUEUED === 40 && SENT === 3;
    });
    const { rows } = await g.pool.query(sql`
      select max(attempts) as attempts, count(*) filter (where provider_code is not null)::int as tried from deliveries
      where notification_id = ${localIdOf(notification)}::uuid and channel = 'EMAIL'`);
    expect(rows).toEqual([{ attempts: 0, tried: expect.any(Number) }]);
    await worker.stop();
    await makeDue();
    await g.startWorker({ smtp: { ...wrong, url: smtp.url } });
    expect((await settledDeliveries(g.server, notification)).progress).toMatchObject({ total: 43, sent: 43 });
    expect(new Set(smtp.mails.map(({ to }) => to[0]))).toEqual(new Set(emails));
    expect(smtp.mails).toHaveLength(40);
  });

  test('sends by itself, in the same process, when it is back', async () => {
    const smtp = closeAfterTest(await startFakeSmtp({ login: { user: 'carillon', password: 'right' } }));
    for (const _ of Array(8)) smtp.refuseNext('AUTH', 535, '5.7.8 Authentication credentials invalid');
    const person = await makePerson(g.server, { emails: Array.from({ length: 8 }, () => newEmail()) });
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] }),
    );
    await g.startWorker({ smtp: { url: smtp.url, from: 'carillon@example.com' } }, { channelPauseMs: 50 });
    const { progress, deliveries } = await settledDeliveries(g.server, notification);
    expect(progress).toMatchObject({ total: 8, sent: 8 });
    expect(new Set(deliveries.nodes.map(({ attempts }) => attempts))).toEqual(new Set([1]));
  });
});

test('a provider to which messages go too fast gets them all later: no attempt is counted, nothing is paused, and the rest is not tried against a wall', async () => {
  const infobip = closeAfterTest(await startFakeInfobip());
  for (const _ of Array(32)) infobip.replyNext({ status: 429, headers: { 'retry-after': '1' } });
  const person = await makePerson(g.server, { phones: Array.from({ length: 100 }, () => newPhone()) });
  const notification = await makeQueued(toSend({ users: [{ id: person.id }] }, { channels: ['SMS'] }));
  await makeDue();
  await g.startWorker({ infobip: { baseUrl: infobip.baseUrl, apiKey: infobip.apiKey, from: 'Carillon' } });
  const { progress, deliveries } = await settledDeliveries(g.server, notification);
  expect(progress).toMatchObject({ total: 100, sent: 100 });
  expect(new Set(deliveries.nodes.map(({ attempts }) => attempts))).toEqual(new Set([1]));
  expect(infobip.requestCount()).toBe(132);
  expect(await g.db.channelPause.count({ where: { channel: 'SMS' } })).toBe(0);
  const tried = await g.pool.query(sql`
    select from delivery_attempts where delivery_id in (
      select id from deliveries where notification_id = ${localIdOf(notification)}::uuid
    )`);
  expect(tried.rowCount).toBe(0);
});

test('what a whole batch puts off is come back for, though a job beside it found nothing more to do', async () => {
  const infobip = closeAfterTest(await startFakeInfobip({ holdAfter: 0 }));
  infobip.replyNext({ status: 503 });
  const makePhones = () => Array.from({ length: 100 }, () => newPhone());
  const people = [
    await makePerson(g.server, { phones: makePhones() }),
    await makePerson(g.server, { phones: makePhones() }),
  ];
  const target = { users: people.map(({ id }) => ({ id })) };
  const notification = await makeQueued(toSend(target, { channels: ['SMS'] }));
  await makeDue();
  const account = { baseUrl: infobip.baseUrl, apiKey: infobip.apiKey, from: 'Carillon' };
  await g.startWorker({ infobip: account }, { sweepMs: 60_000 });
  await infobip.received(31);
  await until(async () => {
    const { rowCount: atWork } = await g.pool.query(sql`
      select from graphile_worker.jobs where task_identifier = 'deliver' and (locked_at is not null or run_at <= now())`);
    return atWork === 1;
  });
  infobip.release();
  expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 200, sent: 200 } });
});

test('what was claimed by a commit whose answer was lost is sent at once, not when the lease ends', async () => {
  const person = await makePerson(g.server, { phones: [newPhone()] });
  const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['SMS'] }));
  const isLost = loseAnswerToCommitOf("status = 'SENDING', claim_token =");
  await g.startWorker();
  expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 1, sent: 1 } });
  expect(isLost()).toBe(true);
});

describe('right before the send', () => {
  test('what was queued for a person who has left the installation is cancelled, and a broadcast goes out', async () => {
    const person = await makePerson(g.server, { emails: [newEmail()] });
    const { pushRegistrationId } = person.installation;
    const personal = await makeQueued(toSend({ users: [{ id: person.id }] }, { channels: ['PUSH', 'EMAIL'] }));
    const broadcast = await makeQueued(toSend({ installations: [pushRegistrationId] }));
    await depersonalize(g.server, pushRegistrationId);
    expect(await countStatuses(personal)).toEqual({ CANCELLED: 1, QUEUED: 1 });
    expect(await countStatuses(broadcast)).toEqual({ QUEUED: 1 });
    await makeDue();
    await g.startWorker();
    const { deliveries } = await settledDeliveries(g.server, personal);
    expect(deliveries.nodes.map(({ channel, status, reason }) => [channel, status, reason])).toEqual(
      expect.arrayContaining([
        ['PUSH', 'CANCELLED', 'DEPERSONALIZED'],
        ['EMAIL', 'SENT', null],
      ]),
    );
    expect(await settledDeliveries(g.server, broadcast)).toMatchObject({ progress: { total: 1, sent: 1 } });
  });

  test('a delivery that was claimed before the person left is cancelled, not sent', async () => {
    const person = await makePerson(g.server);
    const notification = await makeQueued(toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'] }));
    // As a worker does that dies with the claim in hand.
    await g.pool.query(sql`
      update deliveries set status = 'SENDING', claim_token = gen_random_uuid(), claim_expires_at = now() - interval '1 second'
      where notification_id = ${localIdOf(notification)}::uuid`);
    await depersonalize(g.server, person.installation.pushRegistrationId);
    expect(await countStatuses(notification)).toEqual({ SENDING: 1 });
    await g.startWorker();
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes).toMatchObject([
      {
        status: 'CANCELLED',
        reason: 'DEPERSONALIZED',
        attempts: 0,
        events: [{ status: 'QUEUED' }, { status: 'CANCELLED' }],
      },
    ]);
  });

  test('what was queued for a user who was merged since goes to the survivor', async () => {
    const [survivor, merged] = [await makePerson(g.server), await makePerson(g.server)];
    const notification = await makeQueued(toSend({ users: [{ id: merged.id }] }, { channels: ['PUSH'] }));
    await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
    await makeDue();
    await g.startWorker();
    expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 1, sent: 1 } });
  });

  test.each([
    ['the opt-out', 'OPTED_OUT', sql`update recipients set is_subscribed = false`],
    ['the switch', 'PUSH_DISABLED', sql`update installations set is_push_registration_enabled = false`],
    ['the permission', 'PERMISSION_BLOCKED', sql`update installations set push_status = 'BLOCKED'`],
    ['the primary device', 'NOT_PRIMARY', sql`update installations set is_primary_device = false`],
  ])('%s is looked at again', async (_, reason, change) => {
    const person = await makePerson(g.server);
    const { pushRegistrationId: id } = person.installation;
    await g.db.installation.update({ where: { id }, data: { isPrimaryDevice: true } });
    const rest = { channels: ['PUSH' as const], targetOnlyPrimaryDevices: true };
    const notification = await makeQueued(toSend({ users: [{ id: person.id }] }, rest));
    await g.pool.query(change);
    await makeDue();
    await g.startWorker();
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes).toMatchObject([{ status: 'DISCARDED', reason, attempts: 0 }]);
  });
});

describe('what is not sent in time', () => {
  test('expires while it is queued', async () => {
    const person = await makePerson(g.server, { emails: [newEmail()] });
    const notification = await makeQueued(toSend({ users: [{ id: person.id }] }));
    await g.pool.query(sql`update notifications set expires_at = now() where id = ${localIdOf(notification)}::uuid`);
    await g.startWorker();
    const { deliveries, progress } = await settledDeliveries(g.server, notification);
    expect(progress).toMatchObject({ total: 3, expired: 3, sent: 0 });
    for (const delivery of deliveries.nodes) {
      expect(delivery).toMatchObject({
        status: 'EXPIRED',
        reason: 'TTL_PASSED',
        events: [{ status: 'QUEUED' }, { status: 'EXPIRED' }],
      });
    }
  });

  test('expires though it was claimed by a worker that died', async () => {
    const person = await makePerson(g.server);
    const notification = await makeQueued(toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'] }));
    await g.pool.query(sql`
      update deliveries set status = 'SENDING', claim_token = gen_random_uuid(), claim_expires_at = now() - interval '1 second'
      where notification_id = ${localIdOf(notification)}::uuid`);
    await g.pool.query(sql`update notifications set expires_at = now() where id = ${localIdOf(notification)}::uuid`);
    await g.startWorker();
    expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 1, expired: 1 } });
  });

  test('expires before it is even fanned out, and is told of', async () => {
    const person = await makePerson(g.server);
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['PUSH'] }),
    );
    await g.pool.query(sql`update notifications set expires_at = now() where id = ${localIdOf(notification)}::uuid`);
    await g.startWorker();
    expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 1, expired: 1 } });
  });
});

describe('a worker that is asked to stop', () => {
  test('lets the sends under way end, gives back the rest, and the next one sends that once', async () => {
    const infobip = closeAfterTest(await startFakeInfobip({ holdAfter: 20 }));
    const account = { baseUrl: infobip.baseUrl, apiKey: infobip.apiKey, from: 'Carillon' };
    const person = await makePerson(g.server, { phones: Array.from({ length: 100 }, () => newPhone()) });
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['SMS'] }),
    );
    const worker = await g.startWorker({ infobip: account });
    await infobip.received(32);
    const stopped = worker.stop();
    infobip.release();
    await stopped;
    expect(await countStatuses(notification)).toEqual({ SENT: 32, QUEUED: 68 });
    await g.startWorker({ infobip: account });
    expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 100, sent: 100 } });
    expect(infobip.requestCount()).toBe(100);
  });

  test('cuts off sends that do not end, and leaves nothing in SENDING', async () => {
    const silent = closeAfterTest(await startBrokenServer('silent'));
    const account = { baseUrl: `http://127.0.0.1:${silent.port}`, apiKey: 'key', from: 'Carillon' };
    const person = await makePerson(g.server, { phones: Array.from({ length: 40 }, () => newPhone()) });
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['SMS'] }),
    );
    const worker = await g.startWorker({ infobip: account }, { graceMs: 50 });
    await silent.connected;
    await worker.stop();
    expect(await countStatuses(notification)).toEqual({ QUEUED: 40 });
    const { rows } = await g.pool.query(sql`
      select bool_and(next_attempt_at <= now()) as is_due from deliveries where notification_id = ${localIdOf(notification)}::uuid`);
    expect(rows).toEqual([{ is_due: true }]);
  });

  test('is not kept from calling off what waits long for a connection', async () => {
    const slow = closeAfterTest(await startFakeSmtp({ answerMs: 2_000 }));
    const smtp = { url: slow.url, from: 'carillon@example.com' };
    const person = await makePerson(g.server, { emails: Array.from({ length: 32 }, () => newEmail()) });
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] }),
    );
    await g.startWorker({ smtp });
    await slow.received(1);
    await cancelNotification(g.server, notification);
    const { progress } = await settledDeliveries(g.server, notification);
    expect(progress.cancelled).toBeGreaterThan(0);
    expect(progress.sent + progress.cancelled).toBe(32);
    expect(slow.mails).toHaveLength(progress.sent);
  });

  test('counts no attempt of mails that waited for a connection', async () => {
    const silent = closeAfterTest(await startBrokenServer('silent', { speaksFirst: true }));
    const smtp = { url: `smtp://127.0.0.1:${silent.port}`, from: 'carillon@example.com' };
    const person = await makePerson(g.server, { emails: Array.from({ length: 20 }, () => newEmail()) });
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] }),
    );
    const worker = await g.startWorker({ smtp }, { graceMs: 50 });
    await silent.connected;
    await worker.stop();
    const { rows } = await g.pool.query(sql`
      select attempts, count(*)::int from deliveries
      where notification_id = ${localIdOf(notification)}::uuid and status = 'QUEUED' and next_attempt_at <= now()
      group by attempts order by attempts`);
    expect(rows).toEqual([
      { attempts: 0, count: 15 },
      { attempts: 1, count: 5 },
    ]);
  });
});
