import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { insertPause } from '../../src/deliveries/channel-pause-store.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { setChannels } from '../support/app-channels.ts';
import { cancelNotification } from '../support/cancel-operations.ts';
import { resumeChannel, sendersOf } from '../support/channel-operations.ts';
import { startFakeApns } from '../support/fakes/fake-apns.ts';
import { type FakeSmtp, startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeApp } from '../support/make-app.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../support/operations.ts';
import { globalIdOf, localIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';
import { makeApp as makeRegisteringApp } from '../support/user-registration.ts';

const g = useGatewayAndWorker();
let smtp: FakeSmtp;
let options: { smtp: { url: string; from: string } };

beforeEach(async () => {
  await g.pool.query('delete from channel_pauses');
  smtp = await startFakeSmtp({ login: { user: 'carillon', password: 'right' } });
  options = { smtp: { url: smtp.url, from: 'carillon@example.com' } };
});
afterEach(() => smtp.close());

/** An e-mail to somebody, which is queued. */
async function sendEmail(emails = [newEmail()]): Promise<string> {
  const person = await makePerson(g.server, { emails });
  return makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'] }));
}

/** As soon as it is paused. */
const paused = (provider: string) =>
  until(
    async () => (await sendersOf(g.server)).senders.find((one) => one.provider === provider && one.isPaused) ?? false,
  );

describe('a channel that is down', () => {
  test('is seen in the schema with its provider, its code and since when', async () => {
    const wrong = { smtp: { ...options.smtp, url: smtp.url.replace('right', 'wrong') } };
    await g.startWorker(wrong, { channelPauseMs: 60_000 });
    await sendEmail();
    expect(await paused('smtp')).toEqual({
      channel: 'EMAIL',
      provider: 'smtp',
      isPaused: true,
      pausedSince: expect.any(String),
      cause: 'REFUSED',
      providerCode: expect.stringMatching(/^535/),
      nextTryAt: expect.any(String),
    });
  });

  test('goes on when it is resumed, with all that has waited, and is no longer seen', async () => {
    smtp.refuseNext('AUTH', 535, '5.7.8 Authentication credentials invalid');
    await g.startWorker(options, { channelPauseMs: 600_000 });
    const first = await sendEmail();
    await paused('smtp');
    const waiting = await sendEmail();
    const { id } = await sendersOf(g.server);
    const resumed = await resumeChannel(g.server, { app: id, channel: 'EMAIL' });
    if (resumed?.__typename !== 'ResumeChannelPayload') throw new Error('It was refused.');
    expect(resumed.app.senders.filter(({ isPaused }) => isPaused)).toEqual([]);
    for (const notification of [first, waiting]) {
      expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { sent: 1 } });
    }
  });

  test('goes on when it is resumed with nothing that waits for another reason', async () => {
    const hour = (offset: number) => `${String((new Date().getUTCHours() + offset + 24) % 24).padStart(2, '0')}:00`;
    await g.startWorker(options, { channelPauseMs: 600_000 });
    const { id: person } = await makePerson(g.server, { emails: [newEmail()] });
    const quiet = await makeNotification(
      g.server,
      toSend({ users: [{ id: person }] }, { channels: ['EMAIL'], quietHours: { from: hour(-2), to: hour(3) } }),
    );
    const where = { notificationId: localIdOf(quiet), nextAttemptAt: { gt: new Date(Date.now() + 3_600_000) } };
    const { nextAttemptAt } = await until(() => g.db.delivery.findFirst({ where }));
    smtp.refuseNext('AUTH', 535, '5.7.8 Authentication credentials invalid');
    const first = await sendEmail();
    await paused('smtp');
    await resumeChannel(g.server, { app: (await sendersOf(g.server)).id, channel: 'EMAIL' });
    expect(await settledDeliveries(g.server, first)).toMatchObject({ progress: { sent: 1 } });
    expect(await g.db.delivery.findFirst({ where })).toMatchObject({ status: 'QUEUED', nextAttemptAt });
  });

  test('goes on with other credentials of its app, as soon as they are heard of', async () => {
    const wrong = { smtp: { ...options.smtp, url: smtp.url.replace('right', 'wrong') } };
    await g.startWorker(wrong, { channelPauseMs: 600_000 });
    const first = await sendEmail();
    await paused('smtp');
    const { id } = await sendersOf(g.server);
    onTestFinished(async () => void (await setChannels(g.server, id, { smtp: null })));
    await setChannels(g.server, id, { smtp: options.smtp });
    expect(await settledDeliveries(g.server, first)).toMatchObject({ progress: { sent: 1 } });
  });

  test('is tried at once by a worker that starts, which may know better', async () => {
    const wrong = { smtp: { ...options.smtp, url: smtp.url.replace('right', 'wrong') } };
    const worker = await g.startWorker(wrong, { channelPauseMs: 600_000 });
    const first = await sendEmail();
    await paused('smtp');
    await worker.stop();
    await g.startWorker(options, { channelPauseMs: 600_000 });
    expect(await settledDeliveries(g.server, first)).toMatchObject({ progress: { sent: 1 } });
  });
});

test('the pause of a provider that is configured no longer ends with the next worker, and of another app it stays', async () => {
  const pause = { cause: 'REFUSED' as const, providerCode: null, pauseMs: 60_000 };
  const [{ id: appId } = { id: '' }] = await g.db.app.findMany({ orderBy: { createdAt: 'asc' }, take: 1 });
  const { id: other } = await makeApp(g);
  for (const id of [appId, other]) await insertPause(g.db, { appId: id, channel: 'EMAIL', provider: 'former' }, pause);
  await g.startWorker(options);
  expect(await g.db.channelPause.findMany({ select: { appId: true } })).toEqual([{ appId: other }]);
});

test('a provider that does not answer is paused, and its deliveries keep their attempts', async () => {
  const dead = { smtp: { url: 'smtp://127.0.0.1:1', from: 'carillon@example.com' } };
  await g.startWorker(dead, { channelPauseMs: 600_000 });
  await sendEmail(Array.from({ length: 60 }, () => newEmail()));
  expect(await paused('smtp')).toMatchObject({ cause: 'UNAVAILABLE', providerCode: 'ECONNREFUSED' });
  await until(async () => (await g.db.delivery.count({ where: { channel: 'EMAIL', status: 'SENDING' } })) === 0);
  const { rows } = await g.pool.query(`
    select attempts, count(*)::int as count from deliveries
    where channel = 'EMAIL' and status = 'QUEUED' and notification_id = (select max(id::text)::uuid from notifications)
    group by attempts order by attempts`);
  const [untried, tried] = rows;
  expect(rows).toEqual([
    { attempts: 0, count: 60 - tried.count },
    { attempts: 1, count: 60 - untried.count },
  ]);
  // Twenty find out while five others have a connection. The rest was not begun, or waited for one.
  expect(tried.count).toBeGreaterThanOrEqual(20);
  expect(tried.count).toBeLessThanOrEqual(25);
});

describe('resumeChannel', () => {
  test('of a channel that is not paused changes nothing, and a repeat is the same call', async () => {
    const { id } = await sendersOf(g.server);
    const input = { app: id, channel: 'SMS' as const, idempotencyKey: crypto.randomUUID() };
    for (const _ of Array(2)) {
      expect(await resumeChannel(g.server, input)).toMatchObject({ __typename: 'ResumeChannelPayload', app: { id } });
    }
    expect(await resumeChannel(g.server, { ...input, channel: 'EMAIL' })).toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  test('of an app that there is not is refused', async () => {
    const app = globalIdOf('App', crypto.randomUUID());
    expect(await resumeChannel(g.server, { app, channel: 'SMS' })).toMatchObject({ code: 'NOT_FOUND', path: ['app'] });
  });

  test('of one app and channel leaves the others paused', async () => {
    const { id } = await makeApp(g);
    const { id: other } = await makeApp(g);
    const pause = { cause: 'REFUSED' as const, providerCode: null, pauseMs: 60_000 };
    await insertPause(g.db, { appId: id, channel: 'SMS', provider: 'x' }, pause);
    await insertPause(g.db, { appId: id, channel: 'EMAIL', provider: 'x' }, pause);
    await insertPause(g.db, { appId: other, channel: 'SMS', provider: 'x' }, pause);
    await resumeChannel(g.server, { app: globalIdOf('App', id), channel: 'SMS' });
    const left = await g.db.channelPause.findMany({ select: { appId: true, channel: true } });
    expect(left).toHaveLength(2);
    expect(left).toEqual(
      expect.arrayContaining([
        { appId: id, channel: 'EMAIL' },
        { appId: other, channel: 'SMS' },
      ]),
    );
    const { senders } = await sendersOf(g.server, globalIdOf('App', id));
    expect(senders.filter(({ isPaused }) => isPaused)).toMatchObject([{ channel: 'EMAIL', provider: 'x' }]);
  });

  test('of an app ends the pauses of the common providers that send for it, and it shows them', async () => {
    const shop = await makeRegisteringApp(g.server, {});
    const mine = localIdOf(shop.id);
    const common = localIdOf((await sendersOf(g.server)).id);
    await setChannels(g.server, shop.id, { webPush: { subject: 'mailto:ann@example.com' } });
    const pause = { cause: 'REFUSED' as const, providerCode: null, pauseMs: 600_000 };
    await insertPause(g.db, { appId: common, channel: 'PUSH', provider: 'web-push' }, pause);
    await insertPause(g.db, { appId: common, channel: 'PUSH', provider: 'fcm' }, pause);
    await insertPause(g.db, { appId: common, channel: 'EMAIL', provider: 'smtp' }, pause);
    await insertPause(g.db, { appId: mine, channel: 'PUSH', provider: 'web-push' }, pause);
    const { senders } = await sendersOf(g.server, shop.id);
    const ofPush = senders.filter(({ channel }) => channel === 'PUSH');
    expect(ofPush.map(({ provider, isPaused }) => [provider, isPaused])).toEqual([
      ['web-push', true],
      ['outbox', false],
      ['fcm', true],
    ]);
    expect(senders).toContainEqual(expect.objectContaining({ channel: 'SMS', provider: 'outbox', isPaused: false }));
    await resumeChannel(g.server, { app: shop.id, channel: 'PUSH' });
    const left = await g.db.channelPause.findMany({ orderBy: { channel: 'asc' } });
    expect(left.map(({ appId, provider }) => [appId, provider])).toEqual([
      [common, 'web-push'],
      [common, 'smtp'],
    ]);
  });

  test('of an app that sends by the common providers lets its deliveries go on', async () => {
    const apns = await startFakeApns();
    onTestFinished(apns.close);
    apns.replyNext({ status: 403, reason: 'InvalidProviderToken' });
    const { key, keyId, teamId, topic, baseUrl } = apns;
    await g.startWorker({ apns: { key, keyId, teamId, topic, baseUrl } }, { channelPauseMs: 600_000 });
    const shop = await makeRegisteringApp(g.server, {});
    const address = { apns: { token: crypto.randomUUID() } };
    const { pushRegistrationId } = await makeInstallation(shop.client, { platform: 'IOS', address });
    const notification = await makeNotification(g.server, toSend({ installations: [pushRegistrationId] }));
    await until(async () =>
      (await sendersOf(g.server, shop.id)).senders.some(({ provider, isPaused }) => provider === 'apns' && isPaused),
    );
    await resumeChannel(g.server, { app: shop.id, channel: 'PUSH' });
    expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { sent: 1 } });
  });
});

test('what is sent no faster than its rate is sent whole, and keeps no other channel waiting', async () => {
  const person = await makePerson(g.server, {
    emails: Array.from({ length: 12 }, () => newEmail()),
    phones: [newPhone()],
  });
  const target = { users: [{ id: person.id }] };
  const notification = await makeNotification(g.server, toSend(target, { channels: ['EMAIL', 'SMS'] }));
  await g.startWorker({ ...options, ratesPerSecond: { EMAIL: 10 } });
  expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 13, sent: 13 } });
});

test('what waits for its turn at a rate has not begun, and can be called off', async () => {
  const emails = Array.from({ length: 5 }, () => newEmail());
  const notification = await sendEmail(emails);
  await g.startWorker({ ratesPerSecond: { EMAIL: 1 } });
  const where = { notificationId: localIdOf(notification) };
  await until(async () => (await g.db.outboxMessage.count({ where })) > 0);
  await cancelNotification(g.server, notification);
  const { progress } = await settledDeliveries(g.server, notification);
  // The first has gone, and the second may have begun.
  expect(progress.cancelled).toBeGreaterThanOrEqual(3);
});

test('pushes go to a service no faster than its rate', async () => {
  const installations = await Promise.all(
    Array.from({ length: 15 }, () =>
      makeInstallation(g.app, { platform: 'ANDROID', address: { fcm: { token: crypto.randomUUID() } } }),
    ),
  );
  const target = { installations: installations.map(({ pushRegistrationId }) => pushRegistrationId) };
  const notification = await makeNotification(g.server, toSend(target));
  await g.startWorker({ ratesPerSecond: { FCM: 10 } });
  expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { sent: 15 } });
  const sent = await g.db.outboxMessage.findMany({ where: { notificationId: localIdOf(notification) } });
  const times = sent.map(({ renderedAt }) => renderedAt.getTime());
  // The 11th to the 15th are 100 ms apart; a timer may be a little early.
  expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(400);
});

test('other credentials of an app end its pauses, and no other app’s', async () => {
  const { id } = await sendersOf(g.server);
  const { id: other } = await makeApp(g);
  const pause = { cause: 'REFUSED' as const, providerCode: null, pauseMs: 60_000 };
  for (const appId of [localIdOf(id), other]) {
    await insertPause(g.db, { appId, channel: 'PUSH', provider: 'web-push' }, pause);
  }
  const channels = { webPush: { subject: 'mailto:ann@example.com' } };
  await setChannels(g.server, id, channels);
  expect(await g.db.channelPause.findMany({ select: { appId: true } })).toEqual([{ appId: other }]);
  expect((await sendersOf(g.server)).senders).toContainEqual(
    expect.objectContaining({ channel: 'PUSH', provider: 'web-push', isPaused: false }),
  );
  await setChannels(g.server, id, { webPush: null });
});
