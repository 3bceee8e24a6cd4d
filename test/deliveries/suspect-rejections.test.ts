import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { parseServiceAccount } from '../../src/channels/service-account.ts';
import type { InstallationAddressInput, Platform } from '../generated/graphql.ts';
import { resumeChannel, sendersOf } from '../support/channel-operations.ts';
import { startFakeApns } from '../support/fakes/fake-apns.ts';
import { startFakeFcm, toFcmError } from '../support/fakes/fake-fcm.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../support/operations.ts';
import { localIdOf, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();
beforeEach(() => g.pool.query('delete from channel_pauses'));

/** A push to so many new installations, which is queued. */
async function push(count: number, platform: Platform, toAddress: (token: string) => InstallationAddressInput) {
  const installations = await Promise.all(
    Array.from({ length: count }, () => makeInstallation(g.app, { platform, address: toAddress(crypto.randomUUID()) })),
  );
  return makeNotification(g.server, toSend({ installations: installations.map((one) => one.pushRegistrationId) }));
}
const pushToAndroid = (count: number) => push(count, 'ANDROID', (token) => ({ fcm: { token } }));

/** As soon as nothing is being sent and the provider is paused: how many deliveries are in each state. */
async function countWhenPaused(notification: string, provider: string): Promise<Record<string, number>> {
  await until(() => g.db.channelPause.findFirst({ where: { provider } }));
  return until(async () => {
    const where = { notificationId: localIdOf(notification) };
    const found = await g.db.delivery.groupBy({ by: ['status'], where, _count: true });
    const counts = Object.fromEntries(found.map(({ status, _count }) => [status, _count]));
    return counts.SENDING === undefined && counts;
  });
}

async function startFcm() {
  const fcm = await startFakeFcm();
  onTestFinished(fcm.close);
  const account = parseServiceAccount(fcm.serviceAccount);
  if (!account) throw new Error('The fake has no service account.');
  return { fake: fcm, options: { account, baseUrl: fcm.baseUrl } };
}
const mismatch = toFcmError(403, { status: 'PERMISSION_DENIED', errorCode: 'SENDER_ID_MISMATCH' });

test('the service account of another project fails a slice of a push, and the rest waits until it is mended', async () => {
  const { fake, options } = await startFcm();
  for (const _ of Array(32)) fake.replyNext(mismatch);
  const notification = await pushToAndroid(40);
  await g.startWorker({ fcm: options }, { channelPauseMs: 600_000 });
  expect(await countWhenPaused(notification, 'fcm')).toEqual({ FAILED: 32, QUEUED: 8 });
  const { id, senders } = await sendersOf(g.server);
  expect(senders.filter(({ isPaused }) => isPaused)).toMatchObject([
    { provider: 'fcm', cause: 'REFUSED', providerCode: 'SENDER_ID_MISMATCH' },
  ]);
  await resumeChannel(g.server, { app: id, channel: 'PUSH' });
  expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { failed: 32, sent: 8 } });
});

test('the topic of another app fails a slice of a push, and the rest waits', async () => {
  const apns = await startFakeApns();
  onTestFinished(apns.close);
  const { key, keyId, teamId, baseUrl } = apns;
  const notification = await push(40, 'IOS', (token) => ({ apns: { token } }));
  const wrong = { key, keyId, teamId, baseUrl, topic: 'com.example.other' };
  await g.startWorker({ apns: wrong }, { channelPauseMs: 600_000 });
  expect(await countWhenPaused(notification, 'apns')).toEqual({ FAILED: 32, QUEUED: 8 });
  expect(apns.requestCount()).toBe(32);
  expect(await g.db.channelPause.findMany()).toMatchObject([
    { provider: 'apns', cause: 'REFUSED', providerCode: 'DeviceTokenNotForTopic' },
  ]);
});

test('a token of another project fails its own message only', async () => {
  const { fake, options } = await startFcm();
  fake.replyNext(mismatch);
  const notification = await pushToAndroid(40);
  await g.startWorker({ fcm: options });
  expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { failed: 1, sent: 39 } });
  expect(await g.db.channelPause.findMany()).toEqual([]);
});
