import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { type ChannelsOptions, createChannels } from '../../src/channels/registry.ts';
import { generateVapidKeys } from '../../src/channels/web-push.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();

const smtp = { url: 'smtp://127.0.0.1:1', from: 'carillon@example.com' };
const infobip = { baseUrl: 'http://127.0.0.1:1', apiKey: 'key', from: 'Carillon' };
const fcm = {
  account: {
    projectId: 'shop-1234',
    clientEmail: 'sender@example.com',
    privateKey: 'unread before the first send',
    tokenUri: 'http://127.0.0.1:1',
  },
};
const apns = {
  key: generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString(),
  keyId: 'ABC123DEFG',
  teamId: 'DEF123GHIJ',
  topic: 'com.example.shop',
};

function open(options: Partial<ChannelsOptions>) {
  return createChannels({
    smtp: null,
    infobip: null,
    twilio: null,
    smpp: null,
    whatsApp: null,
    fcm: null,
    apns: null,
    isOutboxAllowed: true,
    arePrivateEndpointsAllowed: false,
    vapid: { subject: 'mailto:ops@example.com', ...generateVapidKeys() },
    db: database.db,
    ...options,
  });
}

test('what has no provider goes to the outbox where it is allowed', async () => {
  const channels = open({});
  expect(channels.describe()).toEqual({
    PUSH: 'web-push, outbox for apps',
    EMAIL: 'outbox',
    SMS: 'outbox',
    WHATSAPP: 'outbox',
    IN_APP: 'inbox',
  });
  expect(channels.configuredChannels()).toEqual(['PUSH', 'EMAIL', 'SMS', 'WHATSAPP', 'IN_APP']);
  expect(channels.channelFor('PUSH', 'webPush')?.name).toBe('web-push');
  expect(channels.channelFor('PUSH', 'apns')?.name).toBe('outbox');
  await channels.close();
});

test('what has no provider is not configured where the outbox is not allowed', async () => {
  const channels = open({ isOutboxAllowed: false });
  expect(channels.describe()).toEqual({
    PUSH: 'web-push, not configured for apps',
    EMAIL: 'not configured',
    SMS: 'not configured',
    WHATSAPP: 'not configured',
    IN_APP: 'inbox',
  });
  expect(channels.configuredChannels()).toEqual(['PUSH', 'IN_APP']);
  expect(channels.channelFor('EMAIL', 'email')).toBeNull();
  expect(channels.channelFor('PUSH', 'fcm')).toBeNull();
  await channels.close();
});

test('a provider that is configured is used', async () => {
  const channels = open({ smtp, infobip, fcm, apns, isOutboxAllowed: false });
  expect(channels.configuredChannels()).toEqual(['PUSH', 'EMAIL', 'SMS', 'IN_APP']);
  expect(channels.channelFor('EMAIL', 'email')?.name).toBe('smtp');
  expect(channels.channelFor('SMS', 'phone')?.name).toBe('infobip');
  expect(channels.channelFor('PUSH', 'fcm')?.name).toBe('fcm');
  expect(channels.channelFor('PUSH', 'apns')?.name).toBe('apns');
  expect(channels.describe().PUSH).toBe('web-push, fcm for apps, apns for apps');
  await channels.close();
});

test.each([
  ['twilio', 'SMS', { twilio: { accountSid: 'AC', authToken: 'token', from: '+385912345678' } }],
  ['smpp', 'SMS', { smpp: { url: 'smpp://carillon:right@127.0.0.1:1', from: 'Carillon' } }],
  ['infobip', 'WHATSAPP', { whatsApp: { provider: 'infobip', ...infobip } }],
  ['twilio', 'WHATSAPP', { whatsApp: { provider: 'twilio', accountSid: 'AC', authToken: 'token', from: '+1' } }],
] as const)('%s serves %s where it is configured', async (name, channel, options) => {
  const channels = open({ ...options, isOutboxAllowed: false });
  expect(channels.channelFor(channel, 'phone')?.name).toBe(name);
  expect(channels.listProviders()).toContainEqual({ channel, provider: name });
  expect(channels.describe()[channel]).toBe(name);
  await channels.close();
});

test('a channel does not serve the addresses of another', async () => {
  const channels = open({ smtp, infobip });
  expect(channels.channelFor('EMAIL', 'phone')).toBeNull();
  expect(channels.channelFor('SMS', 'email')).toBeNull();
  await channels.close();
});
