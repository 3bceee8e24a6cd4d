import type { LookupFunction } from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Message } from '../../src/channels/channel.ts';
import {
  classifyWebPushReply,
  createWebPushChannel,
  generateVapidKeys,
  payloadBytesMax,
} from '../../src/channels/web-push.ts';
import {
  type FakePushService,
  type FakeSubscription,
  startFakePushService,
} from '../support/fakes/fake-push-service.ts';
import { testCertificate } from '../support/fakes/test-certificate.ts';
import { makeMessage } from '../support/make-message.ts';

const vapid = { subject: 'mailto:ops@example.com', ...generateVapidKeys() };
const never = new AbortController().signal;

let service: FakePushService;
let channel: ReturnType<typeof createWebPushChannel>;
beforeAll(async () => {
  service = await startFakePushService();
  channel = createWebPushChannel({ vapid, arePrivateEndpointsAllowed: true });
});
afterAll(async () => {
  await channel.close();
  await service.close();
});

function toBrowser(
  subscription: FakeSubscription,
  given: Omit<Parameters<typeof makeMessage>[0], 'channel' | 'address'> = {},
): Message {
  return makeMessage({ channel: 'PUSH', address: { kind: 'webPush', ...subscription }, ...given });
}

describe('the push', () => {
  test('is decrypted by its browser, and by the key that the page subscribed with', async () => {
    const message = toBrowser(service.subscribe(vapid.publicKey), {
      content: {
        title: 'Hi',
        body: 'Grüße',
        subtitle: 's',
        icon: 'https://e.com/i',
        image: 'https://e.com/j',
        url: 'https://e.com',
        data: { a: [1] },
      },
    });
    const before = service.pushes.length;
    expect(await channel.send(message, never)).toEqual({ kind: 'accepted', providerCode: '201' });
    expect((await service.received(before + 1))[before]?.payload).toEqual({
      title: 'Hi',
      body: 'Grüße',
      subtitle: 's',
      icon: 'https://e.com/i',
      image: 'https://e.com/j',
      url: 'https://e.com',
      data: { a: [1] },
      deliveryId: message.deliveryId,
      notificationId: message.notificationId,
      receiptToken: message.receiptToken,
    });
  });

  test('says nothing of what was not given', async () => {
    const message = toBrowser(service.subscribe());
    await channel.send(message, never);
    const { deliveryId, notificationId, receiptToken } = message;
    expect(service.pushes.at(-1)?.payload).toEqual({ body: 'Hello', deliveryId, notificationId, receiptToken });
  });

  test('lives as long as the message', async () => {
    await channel.send(toBrowser(service.subscribe(), { expiresAt: new Date(Date.now() + 600_000) }), never);
    const { ttlSeconds = 0 } = service.pushes.at(-1) ?? {};
    expect(ttlSeconds).toBeGreaterThan(590);
    expect(ttlSeconds).toBeLessThanOrEqual(600);
  });

  test('to a subscription of another application server is refused', async () => {
    const message = toBrowser(service.subscribe(generateVapidKeys().publicKey));
    expect(await channel.send(message, never)).toEqual({
      kind: 'rejected',
      reason: 'PROVIDER_REJECTED',
      providerCode: '403',
    });
  });

  test('to a subscription that the service does not know is gone', async () => {
    const message = toBrowser({ ...service.subscribe(), endpoint: `${service.origin}/push/unknown` });
    expect(await channel.send(message, never)).toEqual({ kind: 'gone', providerCode: '404' });
  });

  test('of the largest size is taken, and of one byte more is never sent', async () => {
    const message = toBrowser(service.subscribe(), { content: { body: '' } });
    await channel.send(message, never);
    const bytesLeft = payloadBytesMax - Buffer.byteLength(JSON.stringify(service.pushes.at(-1)?.payload));
    const ofLength = (length: number) => ({ ...message, content: { ...message.content, body: 'x'.repeat(length) } });
    expect(await channel.send(ofLength(bytesLeft), never)).toEqual({ kind: 'accepted', providerCode: '201' });
    const before = service.requestCount();
    expect(await channel.send(ofLength(bytesLeft + 1), never)).toEqual({
      kind: 'rejected',
      reason: 'RENDER_FAILED',
      providerCode: 'PAYLOAD_TOO_LARGE',
    });
    expect(service.requestCount()).toBe(before);
  });

  test('with keys that are none is refused', async () => {
    const message = toBrowser({ ...service.subscribe(), p256dh: 'AAAA' });
    expect(await channel.send(message, never)).toEqual({
      kind: 'rejected',
      reason: 'RENDER_FAILED',
      providerCode: 'ENCRYPTION_FAILED',
    });
  });
});

describe('the reply', () => {
  test('that redirects is not followed', async () => {
    const message = toBrowser(service.subscribe());
    const before = service.requestCount();
    service.replyNext({ status: 307, headers: { location: service.subscribe().endpoint } });
    expect(await channel.send(message, never)).toEqual({
      kind: 'rejected',
      reason: 'PROVIDER_REJECTED',
      providerCode: '307',
    });
    expect(service.requestCount()).toBe(before + 1);
  });

  test('that asks to wait is obeyed', async () => {
    service.replyNext({ status: 429, headers: { 'retry-after': '30' } });
    expect(await channel.send(toBrowser(service.subscribe()), never)).toEqual({
      kind: 'retry',
      providerCode: '429',
      retryAfterMs: 30_000,
    });
  });

  test('with a body without end counts by its status, and is not read to the end', async () => {
    service.replyNext({ status: 201, headers: { 'content-length': '1000000000' }, body: 'x'.repeat(100_000) });
    expect(await channel.send(toBrowser(service.subscribe()), never)).toEqual({
      kind: 'accepted',
      providerCode: '201',
    });
  });

  test('to switch protocols is tried again', async () => {
    service.replyNext({ status: 101, headers: { connection: 'upgrade', upgrade: 'other' } });
    expect(await channel.send(toBrowser(service.subscribe()), never)).toMatchObject({ kind: 'retry' });
  });

  test('leaves the connection to be used again', async () => {
    await channel.send(toBrowser(service.subscribe()), never);
    const before = service.connectionCount();
    await channel.send(toBrowser(service.subscribe()), never);
    expect(service.connectionCount()).toBe(before);
  });
});

test.each([
  [200, 'accepted'],
  [201, 'accepted'],
  [202, 'accepted'],
  [204, 'accepted'],
  [301, 'rejected PROVIDER_REJECTED'],
  [302, 'rejected PROVIDER_REJECTED'],
  [400, 'rejected PROVIDER_REJECTED'],
  [401, 'rejected PROVIDER_REJECTED'],
  [403, 'rejected PROVIDER_REJECTED'],
  [404, 'gone'],
  [405, 'rejected PROVIDER_REJECTED'],
  [408, 'retry'],
  [410, 'gone'],
  [413, 'rejected RENDER_FAILED'],
  [418, 'rejected PROVIDER_REJECTED'],
  [425, 'retry'],
  [429, 'retry'],
  [500, 'retry'],
  [502, 'retry'],
  [503, 'retry'],
  [599, 'retry'],
  [0, 'retry'],
])('%i is %s', (status, expected) => {
  const outcome = classifyWebPushReply(status);
  expect(outcome.kind === 'rejected' ? `rejected ${outcome.reason}` : outcome.kind).toBe(expected);
  expect(outcome.providerCode).toBe(String(status));
});

describe('a client’s endpoint', () => {
  const refusal = { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: 'ENDPOINT_NOT_PUBLIC' };
  let secure: FakePushService;
  const trusted = tls.getCACertificates('default');
  beforeAll(async () => {
    tls.setDefaultCACertificates([...trusted, testCertificate.cert]);
    secure = await startFakePushService({ tls: { ...testCertificate, host: 'push.test' } });
  });
  afterAll(async () => {
    tls.setDefaultCACertificates(trusted);
    await secure.close();
  });

  const opened: ReturnType<typeof createWebPushChannel>[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  /** A channel for which every name resolves to `addresses`, and what it asked for. */
  function open(addresses: string[], arePrivateEndpointsAllowed = false) {
    const asked: string[] = [];
    const lookup: LookupFunction = (hostname, _options, callback) => {
      asked.push(hostname);
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    };
    const fresh = createWebPushChannel({ vapid, arePrivateEndpointsAllowed, lookup, timeoutMs: 5_000 });
    opened.push(fresh);
    return { fresh, asked };
  }

  test('is sent to over TLS, with the certificate checked against its name and its name resolved once', async () => {
    const { fresh, asked } = open(['127.0.0.1'], true);
    const message = toBrowser(secure.subscribe());
    expect(await fresh.send(message, never)).toEqual({ kind: 'accepted', providerCode: '201' });
    expect(await fresh.send(message, never)).toEqual({ kind: 'accepted', providerCode: '201' });
    expect(asked).toEqual(['push.test']);

    const otherName = {
      ...secure.subscribe(),
      endpoint: secure.subscribe().endpoint.replace('push.test', 'other.test'),
    };
    expect(await fresh.send(toBrowser(otherName), never)).toEqual({
      kind: 'retry',
      providerCode: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  test.each([
    ['is loopback', ['127.0.0.1']],
    ['is private', ['10.0.0.1']],
    ['is IPv4 in IPv6', ['::ffff:127.0.0.1']],
    ['is public and private at once', ['1.1.1.1', '127.0.0.1']],
    ['is nothing', []],
  ])('whose name %s is refused and never connected to', async (_, addresses) => {
    const { fresh, asked } = open(addresses);
    const before = secure.connectionCount();
    expect(await fresh.send(toBrowser(secure.subscribe()), never)).toEqual(refusal);
    expect(asked).toEqual(['push.test']);
    expect(secure.connectionCount()).toBe(before);
  });

  test.each([
    'http://push.test/1',
    'https://127.0.0.1/1',
    'https://[::1]/1',
    'http://127.0.0.1/1',
  ])('%s is refused', async (endpoint) => {
    const { fresh, asked } = open(['127.0.0.1']);
    expect(await fresh.send(toBrowser({ ...secure.subscribe(), endpoint }), never)).toEqual(refusal);
    expect(asked).toEqual([]);
  });
});
