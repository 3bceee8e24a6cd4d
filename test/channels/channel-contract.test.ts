import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { createApnsChannel } from '../../src/channels/apns.ts';
import type { Channel, Message } from '../../src/channels/channel.ts';
import { createFcmChannel } from '../../src/channels/fcm.ts';
import { createInboxChannel } from '../../src/channels/inbox.ts';
import { createInfobipSmsChannel } from '../../src/channels/infobip-sms.ts';
import { createInfobipWhatsAppChannel } from '../../src/channels/infobip-whatsapp.ts';
import { createOutboxChannel } from '../../src/channels/outbox.ts';
import { parseServiceAccount, type ServiceAccount } from '../../src/channels/service-account.ts';
import { createSmppChannel } from '../../src/channels/smpp.ts';
import { createSmtpChannel } from '../../src/channels/smtp.ts';
import { createTwilioSmsChannel } from '../../src/channels/twilio-sms.ts';
import { createTwilioWhatsAppChannel } from '../../src/channels/twilio-whatsapp.ts';
import { createWebPushChannel, generateVapidKeys } from '../../src/channels/web-push.ts';
import { newId } from '../../src/ids.ts';
import { useDatabase } from '../support/database.ts';
import { breakages, startBrokenServer } from '../support/fakes/broken-server.ts';
import { startFakeApns } from '../support/fakes/fake-apns.ts';
import { startFakeFcm } from '../support/fakes/fake-fcm.ts';
import { startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { startFakePushService } from '../support/fakes/fake-push-service.ts';
import { startFakeSmsc } from '../support/fakes/fake-smsc.ts';
import { startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { startFakeTwilio } from '../support/fakes/fake-twilio.ts';
import { closeHttp, listenOnLoopback } from '../support/fakes/loopback.ts';
import { testCertificate } from '../support/fakes/test-certificate.ts';
import { makeMessage } from '../support/make-message.ts';

const database = useDatabase();
const vapid = { subject: 'mailto:ops@example.com', ...generateVapidKeys() };
const webPushOptions = { vapid, arePrivateEndpointsAllowed: true };
const toAda: Message = makeMessage({ channel: 'EMAIL', address: { kind: 'email', email: 'ada@example.com' } });
const toPhone: Message = makeMessage({ channel: 'SMS', address: { kind: 'phone', phone: '+385916242493' } });
const toWhatsApp: Message = { ...toPhone, channel: 'WHATSAPP' };
const toAndroid: Message = makeMessage({
  channel: 'PUSH',
  platform: 'ANDROID',
  address: { kind: 'fcm', token: 'ada' },
});
const toIphone: Message = makeMessage({ channel: 'PUSH', platform: 'IOS', address: { kind: 'apns', token: 'ada' } });

interface Case {
  channel: Channel;
  message: Message;
}

/** A channel whose provider works, and the same whose provider listens on `port` and has `timeoutMs` to answer. */
interface Subject {
  name: string;
  /** In SMTP the server does. */
  serverSpeaksFirst?: boolean;
  speaksHttp?: boolean;
  open(): Promise<Case>;
  openAt?(port: number, timeoutMs: number): Case | Promise<Case>;
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Closes it after the test. */
function closing<Closable extends { close(): Promise<void> }>(closable: Closable): Closable {
  closers.push(() => closable.close());
  return closable;
}

/** FCM, with the account that may send by it. */
async function openFcm(
  options: Parameters<typeof startFakeFcm>[0] = {},
): Promise<{ account: ServiceAccount; baseUrl: string }> {
  const { serviceAccount, baseUrl } = closing(await startFakeFcm(options));
  const account = parseServiceAccount(serviceAccount);
  if (!account) throw new Error('This is no service account.');
  return { account, baseUrl };
}

const subjects: Subject[] = [
  {
    name: 'smtp',
    serverSpeaksFirst: true,
    async open() {
      const { url } = closing(await startFakeSmtp());
      return { channel: closing(createSmtpChannel({ url, from: 'carillon@example.com' })), message: toAda };
    },
    openAt(port, timeoutMs) {
      const channel = createSmtpChannel({ url: `smtp://127.0.0.1:${port}`, from: 'carillon@example.com', timeoutMs });
      return { channel: closing(channel), message: toAda };
    },
  },
  {
    name: 'web-push',
    speaksHttp: true,
    async open() {
      const service = closing(await startFakePushService());
      const message = makeMessage({ channel: 'PUSH', address: { kind: 'webPush', ...service.subscribe() } });
      return { channel: closing(createWebPushChannel(webPushOptions)), message };
    },
    openAt(port, timeoutMs) {
      const address = { kind: 'webPush' as const, ...anySubscription, endpoint: `http://127.0.0.1:${port}/push/1` };
      const channel = closing(createWebPushChannel({ ...webPushOptions, timeoutMs }));
      return { channel, message: makeMessage({ channel: 'PUSH', address }) };
    },
  },
  {
    name: 'fcm',
    async open() {
      const { account, baseUrl } = await openFcm();
      return { channel: closing(createFcmChannel({ account, baseUrl })), message: toAndroid };
    },
    async openAt(port, timeoutMs) {
      const { account } = await openFcm();
      const channel = createFcmChannel({ account, baseUrl: `http://127.0.0.1:${port}`, timeoutMs });
      return { channel: closing(channel), message: toAndroid };
    },
  },
  {
    name: 'fcm, over HTTP/2',
    async open() {
      const { account, baseUrl } = await openFcm({ tls: { ...testCertificate, host: 'localhost' } });
      const channel = createFcmChannel({ account, baseUrl, tls: { ca: testCertificate.cert } });
      return { channel: closing(channel), message: toAndroid };
    },
    async openAt(port, timeoutMs) {
      const { account } = await openFcm();
      const channel = createFcmChannel({ account, baseUrl: `https://127.0.0.1:${port}`, timeoutMs });
      return { channel: closing(channel), message: toAndroid };
    },
  },
  {
    name: 'fcm, by the server of its access tokens',
    async open() {
      const { account, baseUrl } = await openFcm();
      return { channel: closing(createFcmChannel({ account, baseUrl })), message: toAndroid };
    },
    async openAt(port, timeoutMs) {
      const { account, baseUrl } = await openFcm();
      const elsewhere = { ...account, tokenUri: `http://127.0.0.1:${port}/token` };
      return { channel: closing(createFcmChannel({ account: elsewhere, baseUrl, timeoutMs })), message: toAndroid };
    },
  },
  {
    name: 'apns',
    async open() {
      const { baseUrl, key, keyId, teamId, topic } = closing(await startFakeApns());
      return { channel: closing(createApnsChannel({ baseUrl, key, keyId, teamId, topic })), message: toIphone };
    },
    openAt(port, timeoutMs) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const options = { key, keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ', topic: 'com.example.shop', timeoutMs };
      const channel = createApnsChannel({ ...options, baseUrl: `http://127.0.0.1:${port}` });
      return { channel: closing(channel), message: toIphone };
    },
  },
  {
    name: 'infobip',
    speaksHttp: true,
    async open() {
      const { baseUrl, apiKey } = closing(await startFakeInfobip());
      return { channel: closing(createInfobipSmsChannel({ baseUrl, apiKey, from: 'Carillon' })), message: toPhone };
    },
    openAt(port, timeoutMs) {
      const options = { baseUrl: `http://127.0.0.1:${port}`, apiKey: 'key', from: 'Carillon', timeoutMs };
      return { channel: closing(createInfobipSmsChannel(options)), message: toPhone };
    },
  },
  {
    name: 'infobip, WhatsApp',
    speaksHttp: true,
    async open() {
      const { baseUrl, apiKey } = closing(await startFakeInfobip());
      const options = { baseUrl, apiKey, from: '+385912345678' };
      return { channel: closing(createInfobipWhatsAppChannel(options)), message: toWhatsApp };
    },
    openAt(port, timeoutMs) {
      const options = { baseUrl: `http://127.0.0.1:${port}`, apiKey: 'key', from: '+385912345678', timeoutMs };
      return { channel: closing(createInfobipWhatsAppChannel(options)), message: toWhatsApp };
    },
  },
  {
    name: 'twilio',
    speaksHttp: true,
    async open() {
      const { baseUrl, accountSid, authToken } = closing(await startFakeTwilio());
      const options = { baseUrl, accountSid, authToken, from: '+385912345678' };
      return { channel: closing(createTwilioSmsChannel(options)), message: toPhone };
    },
    openAt(port, timeoutMs) {
      return { channel: closing(createTwilioSmsChannel(anyTwilioAccount(port, timeoutMs))), message: toPhone };
    },
  },
  {
    name: 'twilio, WhatsApp',
    speaksHttp: true,
    async open() {
      const { baseUrl, accountSid, authToken } = closing(await startFakeTwilio());
      const options = { baseUrl, accountSid, authToken, from: '+385912345678' };
      return { channel: closing(createTwilioWhatsAppChannel(options)), message: toWhatsApp };
    },
    openAt(port, timeoutMs) {
      return { channel: closing(createTwilioWhatsAppChannel(anyTwilioAccount(port, timeoutMs))), message: toWhatsApp };
    },
  },
  {
    name: 'smpp',
    async open() {
      const { url } = closing(await startFakeSmsc());
      return { channel: closing(createSmppChannel({ url, from: 'Carillon' })), message: toPhone };
    },
    openAt(port, timeoutMs) {
      const options = { url: `smpp://carillon:right@127.0.0.1:${port}`, from: 'Carillon', timeoutMs };
      return { channel: closing(createSmppChannel(options)), message: toPhone };
    },
  },
  {
    name: 'inbox',
    async open() {
      const { id: userId } = await database.db.user.create({ data: { id: newId() } });
      const message = makeMessage({ channel: 'IN_APP', address: { kind: 'inbox', userId } });
      return { channel: closing(createInboxChannel(database.db)), message };
    },
  },
  {
    name: 'outbox',
    open: async () => ({ channel: closing(createOutboxChannel(database.db)), message: toAda }),
  },
];
const overTheNetwork = subjects.flatMap(({ openAt, ...subject }) => (openAt ? [{ ...subject, openAt }] : []));

function anyTwilioAccount(port: number, timeoutMs: number) {
  const baseUrl = `http://127.0.0.1:${port}`;
  return { baseUrl, accountSid: `AC${'0'.repeat(32)}`, authToken: 'token', from: '+385912345678', timeoutMs };
}

/** The keys of RFC 8291's example: any real ones will do. */
const anySubscription = {
  p256dh: 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
  auth: 'BTBZMqHH6r4Tts7J_aSIgg',
};

const never = new AbortController().signal;
const patientMs = 20_000;

describe.each(subjects)('$name', ({ open }) => {
  test('a message that the provider takes is accepted', async () => {
    const { channel, message } = await open();
    expect(await channel.send(message, never)).toMatchObject({ kind: 'accepted' });
  });

  test('a message can be sent again', async () => {
    const { channel, message } = await open();
    await channel.send(message, never);
    expect(await channel.send({ ...message, attempt: 2 }, never)).toMatchObject({ kind: 'accepted' });
  });

  test('a send that was given up before it began is tried again', async () => {
    const { channel, message } = await open();
    expect(await channel.send(message, AbortSignal.abort())).toMatchObject({ kind: 'retry' });
  });

  test('a message expired already ends in an outcome all the same', async () => {
    const { channel, message } = await open();
    expect(await channel.send({ ...message, expiresAt: new Date(0) }, never)).toMatchObject({ kind: 'accepted' });
  });
});

describe.each(overTheNetwork.filter(({ speaksHttp }) => speaksHttp))('$name, over HTTP', ({ name, openAt }) => {
  test.each([
    429, 500, 502, 503,
  ])('a message is tried again after a %i, and not before the provider asks', async (status) => {
    const server = createServer((request, response) => {
      request.resume();
      response.writeHead(status, { 'retry-after': '7' }).end('<html>');
    });
    const port = await listenOnLoopback(server);
    closing({ close: () => closeHttp(server) });
    const { channel, message } = await openAt(port, patientMs);
    expect(await channel.send(message, never)).toEqual({
      kind: 'retry',
      providerCode: String(status),
      retryAfterMs: 7_000,
      // Nobody else is held back because of one endpoint.
      ...(status === 429 && name !== 'web-push' && { isThrottled: true }),
    });
  });
});

describe.each(overTheNetwork)('$name, over the network', ({ name, openAt, serverSpeaksFirst: speaksFirst = false }) => {
  test.each(
    breakages.filter((breakage) => breakage !== 'silent'),
  )('a message is tried again after a server that is broken: %s', async (breakage) => {
    const server = closing(await startBrokenServer(breakage, { speaksFirst }));
    const { channel, message } = await openAt(server.port, patientMs);
    const outcome = await channel.send(message, never);
    expect(outcome).toEqual({ kind: 'retry', providerCode: expect.stringMatching(/^[A-Z0-9_]+$/) });
    expect(server.connectionCount() > 0).toBe(breakage !== 'refused');
  });

  test('a message is tried again when the server does not answer in time', async () => {
    const server = closing(await startBrokenServer('silent', { speaksFirst }));
    const { channel, message } = await openAt(server.port, 100);
    expect(await channel.send(message, never)).toEqual({
      kind: 'retry',
      providerCode: expect.stringMatching(/^E?TIMEDOUT$|^TIMEOUT$/),
    });
  });

  test('a message is tried again when its send is given up half-way, and nothing keeps its channel from being closed', async () => {
    const server = closing(await startBrokenServer('silent', { speaksFirst }));
    const { channel, message } = await openAt(server.port, patientMs);
    const controller = new AbortController();
    const outcome = channel.send(message, controller.signal);
    await server.connected;
    controller.abort();
    expect(await outcome).toEqual({ kind: 'retry', providerCode: expect.stringMatching(/ABORT/) });
    const given = performance.now();
    await channel.close();
    expect(performance.now() - given).toBeLessThan(patientMs / 4);
  });

  test('an address of another channel is a bug, not an outcome', async () => {
    const { channel, message } = await openAt(1, patientMs);
    const astray = { ...message, address: { kind: 'inbox' as const, userId: name } };
    await expect(channel.send(astray, never)).rejects.toThrow(TypeError);
  });
});
