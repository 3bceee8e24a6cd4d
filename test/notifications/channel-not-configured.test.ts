import { afterAll, describe, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { Orchestration, SendNotificationInput } from '../generated/graphql.ts';
import { fcmAddress, newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { setChannels } from '../support/app-channels.ts';
import { countMade, previewAudience, toLines } from '../support/audience-preview.ts';
import { startFakeFcm } from '../support/fakes/fake-fcm.ts';
import { startFakePushService } from '../support/fakes/fake-push-service.ts';
import { startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeInstallation, makeNotification, personalize, settledDeliveries } from '../support/operations.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';
import { makeApp } from '../support/user-registration.ts';

const [smtp, fcm, browsers] = await Promise.all([startFakeSmtp(), startFakeFcm(), startFakePushService()]);
afterAll(() => Promise.all([smtp.close(), fcm.close(), browsers.close()]));

// In production without ALLOW_OUTBOX: e-mail and browsers have a provider, SMS and apps have none.
const withoutOutbox = { environment: 'production', isOutboxAllowed: false } as const;
const bare = useApp({ ...withoutOutbox, smtp: { url: smtp.url, from: 'carillon@example.com' } });
const g = useGatewayAndWorker();

const Replay = graphql(`
  mutation ReplayUnconfigured($notification: ID!) {
    replayDeliveries(input: { notification: $notification }) {
      ... on ReplayDeliveriesPayload { count }
    }
  }
`);

const person = () => makePerson(bare.server, { emails: [newEmail()], phones: [newPhone()] });

async function prefer(channel: string, { id }: { id: string }) {
  await bare.pool.query(
    sql`update users set preferred_channel = ${channel}::channel where id = ${localIdOf(id)}::uuid`,
  );
}

/** What a send to this user comes to, as `<channel> <status> <reason>`; a preview has said of whom it would be sent to. */
async function sendTo(
  { id }: { id: string },
  asked: Pick<SendNotificationInput, 'channels' | 'orchestration' | 'onePerUser'>,
) {
  const target = { users: [{ id }] };
  const preview = toLines(await previewAudience(bare.server, { target, ...asked }));
  const notification = await makeNotification(bare.server, toSend(target, asked));
  const { deliveries } = await settledDeliveries(bare.server, notification);
  expect(await countMade(bare.pool, notification)).toEqual(preview);
  return deliveries.nodes
    .map(({ channel, status, reason }) => [channel, status, reason].filter(Boolean).join(' '))
    .sort();
}

describe('a channel without a provider', () => {
  test('ends by ALL what would go by it as CHANNEL_NOT_CONFIGURED, and holds up no other', async () => {
    expect(await sendTo(await person(), { channels: ['SMS', 'WHATSAPP', 'PUSH', 'EMAIL'] })).toEqual([
      'EMAIL SENT',
      'PUSH DISCARDED CHANNEL_NOT_CONFIGURED',
      'SMS DISCARDED CHANNEL_NOT_CONFIGURED',
      'WHATSAPP DISCARDED CHANNEL_NOT_CONFIGURED',
    ]);
  });

  test.each<Orchestration>([
    'PREFERRED',
    'FALLBACK',
  ])('is none at which %s can reach a user, though it is preferred', async (orchestration) => {
    const user = await person();
    await prefer('SMS', user);
    expect(await sendTo(user, { channels: ['SMS', 'EMAIL'], orchestration })).toEqual(['EMAIL SENT']);
    expect(await sendTo(user, { channels: ['SMS', 'WHATSAPP'], orchestration })).toEqual([
      'SMS DISCARDED CHANNEL_NOT_CONFIGURED',
    ]);
  });

  test.each<Orchestration>([
    'PREFERRED',
    'FALLBACK',
  ])('is PUSH to an app where only browsers are served: %s takes the next one', async (orchestration) => {
    expect(await sendTo(await person(), { orchestration })).toEqual(['EMAIL SENT']);
  });

  test('says so of an opted-out address by the opt-out, and of no address by that', async () => {
    const user = await makePerson(bare.server, { phones: [newPhone()] });
    await bare.pool.query(sql`
      update recipients set is_subscribed = false where channel = 'SMS' and user_id = ${localIdOf(user.id)}::uuid`);
    expect(await sendTo(user, { channels: ['SMS'] })).toEqual(['SMS DISCARDED OPTED_OUT']);
    expect(await sendTo(await makePerson(bare.server), { channels: ['SMS'] })).toEqual(['SMS DISCARDED NO_ADDRESS']);
  });
});

test('one push per user goes to the browser that can be sent to, not to the app that was seen later', async () => {
  const browser = await makeInstallation(bare.server, { platform: 'WEB', address: { webPush: browsers.subscribe() } });
  const user = await person();
  const { externalUserId } = user;
  await personalize(bare.server, { installation: browser.pushRegistrationId, userIdentity: { externalUserId } });
  await bare.pool.query(sql`
    update installations set last_seen_at = now() + interval '1 hour' where id = ${user.installation.pushRegistrationId}::uuid`);
  expect(await sendTo(user, { channels: ['PUSH'], onePerUser: true })).toEqual(['PUSH SENT']);
  expect(browsers.pushes).toHaveLength(1);
});

test('an app with its own provider is served by that, another one is not', async () => {
  const [shop, other] = await Promise.all([makeApp(bare.server, {}), makeApp(bare.server, {})]);
  const { serviceAccount, baseUrl } = fcm;
  await setChannels(bare.server, shop.id, { fcm: { serviceAccount, baseUrl } });
  const android = (app: typeof shop) => makeInstallation(app.client, { platform: 'ANDROID', address: fcmAddress() });
  const installations = await Promise.all([android(shop), android(other)]);
  const [served, unserved] = installations.map(({ pushRegistrationId }) => ({ installations: [pushRegistrationId] }));
  // Credentials are taken for what they were for a second.
  await until(async () => toLines(await previewAudience(bare.server, { target: served ?? {} })).includes('PUSH 1'));
  expect(toLines(await previewAudience(bare.server, { target: unserved ?? {} }))).toEqual([
    'PUSH CHANNEL_NOT_CONFIGURED 1',
  ]);
  const ids = installations.map(({ pushRegistrationId }) => pushRegistrationId);
  const notification = await makeNotification(bare.server, toSend({ installations: ids }));
  const { deliveries } = await settledDeliveries(bare.server, notification);
  expect(deliveries.nodes.map(({ status, reason }) => [status, reason])).toEqual(
    expect.arrayContaining([
      ['SENT', null],
      ['DISCARDED', 'CHANNEL_NOT_CONFIGURED'],
    ]),
  );
  expect(fcm.messages).toHaveLength(1);
});

test('a push address whose form was not kept is found out about when it is sent', async () => {
  const { id, installation } = await person();
  await bare.pool.query(sql`
    update installations set address_kind = null where id = ${installation.pushRegistrationId}::uuid`);
  expect(toLines(await previewAudience(bare.server, { target: { users: [{ id }] }, channels: ['PUSH'] }))).toEqual([
    'PUSH 1',
  ]);
  const notification = await makeNotification(bare.server, toSend({ users: [{ id }] }, { channels: ['PUSH'] }));
  expect((await settledDeliveries(bare.server, notification)).deliveries.nodes).toMatchObject([
    { channel: 'PUSH', status: 'DISCARDED', reason: 'CHANNEL_NOT_CONFIGURED' },
  ]);
});

test('a provider that is gone by the time of the send is told of, and once there is one again a replay is sent', async () => {
  const { id } = await makePerson(g.server, { emails: [newEmail()] });
  const inAMinute = { channels: ['EMAIL' as const], sendAt: new Date(Date.now() + 60_000).toISOString() };
  const notification = await makeNotification(g.server, toSend({ users: [{ id }] }, { ...inAMinute, localTime: true }));
  const where = { notificationId: localIdOf(notification) };
  const before = await g.startWorker();
  await until(async () => (await g.db.delivery.count({ where: { ...where, status: 'QUEUED' } })) === 1);
  await before.stop();
  await g.pool.query(sql`
    update deliveries set next_attempt_at = now() where notification_id = ${where.notificationId}::uuid`);
  const after = await g.startWorker(withoutOutbox);
  const ended = (await settledDeliveries(g.server, notification)).deliveries.nodes;
  expect(ended).toMatchObject([{ status: 'DISCARDED', reason: 'CHANNEL_NOT_CONFIGURED', attempts: 0 }]);
  await after.stop();
  expect((await g.server.run(Replay, { notification })).replayDeliveries).toEqual({ count: 1 });
  await g.startWorker();
  expect((await settledDeliveries(g.server, notification)).deliveries.nodes).toMatchObject([{ status: 'SENT' }]);
});

test('what no provider could send when it was fanned out is sent by a replay once there is one', async () => {
  const { id } = await makePerson(g.server, { emails: [newEmail()] });
  const notification = await makeNotification(g.server, toSend({ users: [{ id }] }, { channels: ['EMAIL'] }));
  const without = await g.startWorker(withoutOutbox);
  expect((await settledDeliveries(g.server, notification)).deliveries.nodes).toMatchObject([
    { status: 'DISCARDED', reason: 'CHANNEL_NOT_CONFIGURED' },
  ]);
  await without.stop();
  await g.server.run(Replay, { notification });
  await g.startWorker();
  expect((await settledDeliveries(g.server, notification)).deliveries.nodes).toMatchObject([{ status: 'SENT' }]);
});
