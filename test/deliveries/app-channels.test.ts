import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { getDefaultApp, setChannels } from '../support/app-channels.ts';
import { type FakeApns, startFakeApns } from '../support/fakes/fake-apns.ts';
import { startFakeFcm } from '../support/fakes/fake-fcm.ts';
import { startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { startFakePushService } from '../support/fakes/fake-push-service.ts';
import { startFakeSmsc } from '../support/fakes/fake-smsc.ts';
import { startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { startFakeTwilio } from '../support/fakes/fake-twilio.ts';
import { makeInstallation, makeNotification, settledDeliveries } from '../support/operations.ts';
import { postReceipt, receiptSettings, storyOf } from '../support/receipts.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';
import { makeApp, type RegisteringApp } from '../support/user-registration.ts';

const [common, ofShop, ofNews, fcm, smtp, infobip, browsers, twilio, smsc] = await Promise.all([
  startFakeApns(),
  startFakeApns(),
  startFakeApns(),
  startFakeFcm(),
  startFakeSmtp(),
  startFakeInfobip(),
  startFakePushService(),
  startFakeTwilio(),
  startFakeSmsc(),
]);
const fakes = [common, ofShop, ofNews, fcm, smtp, infobip, browsers, twilio, smsc];
afterAll(() => Promise.all(fakes.map((fake) => fake.close())));

const credentialsOf = ({ key, keyId, teamId, topic, baseUrl }: FakeApns) => ({ key, keyId, teamId, topic, baseUrl });

// The environment has an account with APNs, and none with others: what is left goes to the outbox.
const { dataEncryptionKey, publicUrl, callbackUrl } = receiptSettings;
const g = useApp({ apns: credentialsOf(common), dataEncryptionKey, publicUrl, callbackUrl }, { channelPauseMs: 50 });

let shop: RegisteringApp;
let news: RegisteringApp;
let third: RegisteringApp;
beforeAll(async () => {
  [shop, news, third] = await Promise.all([makeApp(g.server, {}), makeApp(g.server, {}), makeApp(g.server, {})]);
});

const newToken = () => crypto.randomUUID().replaceAll('-', '');

async function makeIphone({ client }: RegisteringApp, address = { apns: { token: newToken() } }) {
  const installation = await makeInstallation(client, { platform: 'IOS', address });
  return { id: installation.pushRegistrationId, token: address.apns.token };
}

/** Sends to these installations; what came of each. */
async function push(installations: readonly { id: string }[]) {
  const id = await makeNotification(g.server, toSend({ installations: installations.map((one) => one.id) }));
  return (await settledDeliveries(g.server, id)).deliveries.nodes;
}

const reached = ({ notifications }: FakeApns, token: string) =>
  notifications.some((notification) => notification.token === token);

/** The fake that a push to an installation of this app goes to. */
async function whoServes(app: RegisteringApp): Promise<FakeApns | undefined> {
  const iphone = await makeIphone(app);
  await push([iphone]);
  return [common, ofShop, ofNews].find((fake) => reached(fake, iphone.token));
}

test('one notification goes to the installations of each app by its own credentials, and by the environment’s without', async () => {
  await setChannels(g.server, shop.id, { apns: credentialsOf(ofShop) });
  await setChannels(g.server, news.id, { apns: credentialsOf(ofNews) });
  await until(async () => (await whoServes(news)) === ofNews);
  const iphones = await Promise.all([shop, news, third].map((app) => makeIphone(app)));
  expect((await push(iphones)).map(({ status }) => status)).toEqual(['SENT', 'SENT', 'SENT']);
  expect([ofShop, ofNews, common].map((fake, index) => reached(fake, iphones[index]?.token ?? ''))).toEqual([
    true,
    true,
    true,
  ]);
});

test('a change is heard without a restart, and so is a removal', async () => {
  await setChannels(g.server, third.id, { apns: credentialsOf(ofShop) });
  await until(async () => (await whoServes(third)) === ofShop);
  await setChannels(g.server, third.id, { apns: credentialsOf(ofNews) });
  await until(async () => (await whoServes(third)) === ofNews);
  await setChannels(g.server, third.id, { apns: null });
  await until(async () => (await whoServes(third)) === common);
});

test('an app has its own project at FCM, and its own subject for browsers', async () => {
  const { serviceAccount, baseUrl } = fcm;
  const webPush = { subject: 'mailto:shop@example.com' };
  await setChannels(g.server, shop.id, { fcm: { serviceAccount, baseUrl }, webPush });
  const page = await makeInstallation(shop.client, { platform: 'WEB', address: { webPush: browsers.subscribe() } });
  await until(async () => {
    await push([{ id: page.pushRegistrationId }]);
    const { authorization = '' } = browsers.pushes.at(-1)?.headers ?? {};
    const [, claims = ''] = authorization.split('.');
    return JSON.parse(Buffer.from(claims, 'base64url').toString()).sub === webPush.subject;
  });
  const android = { platform: 'ANDROID' as const, address: { fcm: { token: newToken() } } };
  const phone = await makeInstallation(shop.client, android);
  const elsewhere = await makeInstallation(news.client, { ...android, address: { fcm: { token: newToken() } } });
  await push([phone, elsewhere].map(({ pushRegistrationId: id }) => ({ id })));
  expect(fcm.messages.map(({ token }) => token)).toEqual([android.address.fcm.token]);
  // What has no provider is the outbox's.
  expect(await g.db.outboxMessage.count({ where: { channel: 'PUSH' } })).toBe(1);
});

test('e-mail and SMS go by the default app’s own server and account', async () => {
  const app = await getDefaultApp(g.server);
  const { baseUrl, apiKey } = infobip;
  await setChannels(g.server, app, {
    smtp: { url: smtp.url, from: 'shop@example.com' },
    infobip: { baseUrl, apiKey, from: 'Shop' },
  });
  const { id } = await makePerson(g.server, {
    emails: [`${crypto.randomUUID()}@example.com`],
    phones: ['+385916242493'],
  });
  await until(async () => {
    const sent = await makeNotification(g.server, toSend({ users: [{ id }] }, { channels: ['EMAIL', 'SMS'] }));
    await settledDeliveries(g.server, sent);
    return smtp.mails.length > 0 && infobip.messages.length > 0;
  });
  expect(smtp.mails[0]?.from).toBe('shop@example.com');
  expect(infobip.messages[0]?.sender).toBe('Shop');
  await setChannels(g.server, app, { smtp: null, infobip: null });
});

describe('a text message goes by the default app’s own account, and what is told of it finds its delivery:', () => {
  const { accountSid, authToken, baseUrl } = twilio;
  const account = { accountSid, authToken, baseUrl, from: '+15017122661' };

  /** The first message by this channel that goes by `isServed`, sent again and again until one does. */
  async function sendUntil(channel: 'SMS' | 'WHATSAPP', isServed: (phone: string) => boolean): Promise<string> {
    return until(async () => {
      const phone = newPhone();
      const { id } = await makePerson(g.server, { phones: [phone] });
      const sent = await makeNotification(g.server, toSend({ users: [{ id }] }, { channels: [channel] }));
      const [delivery] = (await settledDeliveries(g.server, sent)).deliveries.nodes;
      return isServed(phone) && (delivery?.id ?? false);
    });
  }

  test.each([
    ['SMS', { twilio: account }, { twilio: null }],
    ['WHATSAPP', { twilioWhatsapp: account }, { twilioWhatsapp: null }],
  ] as const)('%s by Twilio', async (channel, channels, gone) => {
    const app = await getDefaultApp(g.server);
    await setChannels(g.server, app, channels);
    const delivery = await sendUntil(channel, (phone) => twilio.messages.some(({ To }) => To.endsWith(phone)));
    const { StatusCallback = '' } = twilio.messages.at(-1) ?? {};
    const fields = { MessageSid: `SM${'0'.repeat(32)}`, MessageStatus: 'delivered' };
    const post = (token: string) =>
      postReceipt(g, channel.toLowerCase(), {
        body: new URLSearchParams(fields).toString(),
        query: new URL(StatusCallback).search,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          'x-twilio-signature': createHmac('sha1', token)
            .update(`${StatusCallback}${Object.entries(fields).flat().join('')}`)
            .digest('base64'),
        },
      });
    expect(await post('another')).toBe(401);
    expect(await post(authToken)).toBe(204);
    expect((await storyOf(g, { delivery })).status).toBe('DELIVERED');
    await setChannels(g.server, app, gone);
    await until(async () => (await post(authToken)) === 401);
  });

  test('WHATSAPP by Infobip, while SMS goes by what the environment says', async () => {
    const app = await getDefaultApp(g.server);
    const { baseUrl: infobipUrl, apiKey } = infobip;
    await setChannels(g.server, app, { infobipWhatsapp: { baseUrl: infobipUrl, apiKey, from: '+385912345678' } });
    await sendUntil('WHATSAPP', (phone) => infobip.whatsApps.some(({ to }) => `+${to}` === phone));
    const smsCount = infobip.messages.length;
    const smsId = localIdOf(await sendUntil('SMS', () => true));
    expect(await g.db.outboxMessage.count({ where: { deliveryId: smsId } })).toBe(1);
    expect(infobip.messages).toHaveLength(smsCount);
    await setChannels(g.server, app, { infobipWhatsapp: null });
  });

  test('SMS by SMPP, and the session of former credentials ends', async () => {
    const app = await getDefaultApp(g.server);
    await setChannels(g.server, app, { smpp: { url: smsc.url, from: 'Shop' } });
    const delivery = await sendUntil('SMS', (phone) => smsc.parts.some(({ to }) => `+${to}` === phone));
    const { messageId } = smsc.parts.at(-1) ?? {};
    await smsc.tell('deliver_sm', { esm_class: 0x04, short_message: `id:${messageId} stat:DELIVRD err:000 text:` });
    await until(async () => (await storyOf(g, { delivery })).status === 'DELIVERED');
    expect(smsc.commands).not.toContain('unbind');
    await setChannels(g.server, app, { smpp: { url: smsc.url, from: 'Other' } });
    await sendUntil('SMS', () => smsc.parts.at(-1)?.sender === 'Other');
    await until(async () => smsc.commands.includes('unbind'));
    await setChannels(g.server, app, { smpp: null });
    await until(async () => {
      await sendUntil('SMS', () => true);
      return smsc.commands.filter((command) => command === 'unbind').length === 2;
    });
  });

  test('a paused account of SMS pauses no other of the app', async () => {
    const app = await getDefaultApp(g.server);
    const wrong = { ...account, authToken: 'wrong' };
    await setChannels(g.server, app, { twilio: wrong, twilioWhatsapp: account });
    const { id } = await makePerson(g.server, { phones: [newPhone()] });
    await until(async () => {
      await makeNotification(g.server, toSend({ users: [{ id }] }, { channels: ['SMS'] }));
      return (await g.db.channelPause.count({ where: { channel: 'SMS', provider: 'twilio' } })) === 1;
    });
    await sendUntil('WHATSAPP', (phone) => twilio.messages.some(({ To }) => To === `whatsapp:${phone}`));
    await setChannels(g.server, app, { twilio: null, twilioWhatsapp: null });
    await until(async () => (await g.db.delivery.count({ where: { status: 'QUEUED' } })) === 0);
  });
});

test('what cannot be read keeps the deliveries of its app waiting, until it is set anew', async () => {
  await setChannels(g.server, third.id, { apns: credentialsOf(ofShop) });
  await until(async () => (await whoServes(third)) === ofShop);
  const appId = localIdOf(third.id);
  await g.pool.query(`update app_channels set credentials_cipher = '\\x00' where app_id = $1`, [appId]);
  const waiting = await makeIphone(third);
  const notification = await untilHeld(waiting);
  await setChannels(g.server, third.id, { apns: credentialsOf(ofShop) });
  const { deliveries } = await settledDeliveries(g.server, notification);
  expect(deliveries.nodes).toMatchObject([{ status: 'SENT', attempts: 1 }]);
  expect(reached(ofShop, waiting.token)).toBe(true);
});

/** A notification to this installation that its worker cannot send now. */
async function untilHeld({ id }: { id: string }): Promise<string> {
  return until(async () => {
    const notification = await makeNotification(g.server, toSend({ installations: [id] }));
    return until(async () => {
      const [row] = await g.db.delivery.findMany({ where: { notificationId: localIdOf(notification) } });
      if (row?.status === 'SENT') return 'sent';
      return row?.providerCode === 'CREDENTIALS_UNREADABLE' && notification;
    }).then((found) => found !== 'sent' && found);
  });
}
