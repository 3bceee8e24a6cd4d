import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApnsOptions, createApnsChannel } from '../../src/channels/apns.ts';
import { parseApnsKey } from '../../src/channels/apns-key.ts';
import type { Channel, Message, SendOutcome } from '../../src/channels/channel.ts';
import { type FakeApns, startFakeApns } from '../support/fakes/fake-apns.ts';
import { startRelay } from '../support/fakes/relay.ts';
import { makeMessage } from '../support/make-message.ts';
import { until } from '../support/until.ts';

const never = new AbortController().signal;

let apns: FakeApns;
let channel: Channel;
beforeAll(async () => {
  apns = await startFakeApns();
  channel = openChannel(apns);
});
afterAll(async () => {
  await channel.close();
  await apns.close();
});

function openChannel({ key, keyId, teamId, topic, baseUrl }: FakeApns, options: Partial<ApnsOptions> = {}): Channel {
  return createApnsChannel({ key, keyId, teamId, topic, baseUrl, ...options });
}

function toApp(given: Omit<Parameters<typeof makeMessage>[0], 'channel' | 'address'> = {}, token = 'c0ffee'): Message {
  return makeMessage({ channel: 'PUSH', platform: 'IOS', address: { kind: 'apns', token }, ...given });
}

const accepted: SendOutcome = { kind: 'accepted', providerCode: '200' };

describe('the notification', () => {
  test('is in Apple’s documented form', async () => {
    const message = toApp({
      content: {
        title: 'Parcel',
        body: 'is here',
        subtitle: 'At last',
        image: 'https://e.com/parcel.png',
        url: 'https://e.com/p',
        data: { order: 7 },
      },
      expiresAt: new Date(4_000_000_000_000),
    });
    const before = apns.notifications.length;
    expect(await channel.send(message, never)).toEqual(accepted);
    const taken = apns.notifications[before];
    expect(taken?.token).toBe('c0ffee');
    expect(taken?.headers).toMatchObject({
      'apns-id': message.deliveryId,
      'apns-topic': apns.topic,
      'apns-push-type': 'alert',
      'apns-priority': '10',
      'apns-expiration': '4000000000',
      'apns-collapse-id': message.deliveryId,
    });
    expect(taken?.payload).toEqual({
      aps: {
        alert: { title: 'Parcel', subtitle: 'At last', body: 'is here' },
        sound: 'default',
        'mutable-content': 1,
      },
      image: 'https://e.com/parcel.png',
      url: 'https://e.com/p',
      data: { order: 7 },
      deliveryId: message.deliveryId,
      notificationId: message.notificationId,
      receiptToken: 'receipt-token',
    });
  });

  test('that has expired is tried once', async () => {
    const before = apns.notifications.length;
    await channel.send(toApp({ expiresAt: new Date(1_000) }), never);
    expect(apns.notifications[before]?.headers['apns-expiration']).toBe('0');
  });

  test('of 4096 bytes is sent, and one more is not', async () => {
    const sizeOf = async (body: string) => {
      const before = apns.notifications.length;
      await channel.send({ ...toApp({ content: { body } }), deliveryId, notificationId: deliveryId }, never);
      return Buffer.byteLength(JSON.stringify(apns.notifications[before]?.payload));
    };
    const deliveryId = toApp().deliveryId;
    const room = 4_096 - (await sizeOf(''));
    expect(await sizeOf('x'.repeat(room))).toBe(4_096);
    expect(await channel.send(toApp({ content: { body: 'x'.repeat(room + 1) } }), never)).toEqual({
      kind: 'rejected',
      reason: 'RENDER_FAILED',
      providerCode: 'PAYLOAD_TOO_LARGE',
    });
  });

  test.each(['../../x', 'a/b?c#d', '%2e', '..'])('to the token %s stays at its path', async (token) => {
    const before = apns.notifications.length;
    expect(await channel.send(toApp({}, token), never)).toEqual(accepted);
    expect(apns.notifications[before]?.token).toBe(token);
  });
});

describe('the connection', () => {
  test('is one for all notifications, which travel at once', async () => {
    const one = openChannel(apns);
    const before = apns.connectionCount();
    apns.holdUntil(50);
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => one.send(toApp(), never)));
    expect(outcomes).toEqual(outcomes.map(() => accepted));
    expect(apns.connectionCount()).toBe(before + 1);
    await one.close();
  });

  test('that the server leaves (GOAWAY) is made anew, and what is under way on it still ends', async () => {
    await channel.send(toApp(), never);
    const [connections, requests] = [apns.connectionCount(), apns.requestCount()];
    apns.holdUntil(2);
    const underWay = channel.send(toApp(), never);
    await until(async () => apns.requestCount() > requests);
    apns.goAway();
    expect(await Promise.all([underWay, channel.send(toApp(), never)])).toEqual([accepted, accepted]);
    expect(apns.connectionCount()).toBe(connections + 1);
  });

  test('that broke is made anew', async () => {
    await channel.send(toApp(), never);
    apns.cutConnections();
    await until(async () => (await channel.send(toApp(), never)).kind === 'accepted');
  });

  test('that refuses a request unlooked at is asked again at once', async () => {
    apns.refuseNext();
    expect(await channel.send(toApp(), never)).toEqual(accepted);
  });

  test('that refuses it twice is left for later', async () => {
    apns.refuseNext();
    apns.refuseNext();
    expect(await channel.send(toApp(), never)).toEqual({ kind: 'retry', providerCode: 'HTTP2_REFUSED_STREAM' });
  });

  test('that answers no ping any more is given up, and made anew', async () => {
    const relay = await startRelay(Number(new URL(apns.baseUrl).port));
    const baseUrl = `http://127.0.0.1:${relay.port}`;
    const watchful = openChannel(apns, { baseUrl, pingEveryMs: 10, timeoutMs: 2_000 });
    expect(await watchful.send(toApp(), never)).toEqual(accepted);
    relay.freeze();
    await until(async () => relay.openCount() === 0);
    expect(await watchful.send(toApp(), never)).toEqual(accepted);
    await watchful.close();
    await relay.close();
  });
});

describe('the provider token', () => {
  /** A channel and an APNs with one clock. */
  async function withClock() {
    const clock = { at: Date.now() };
    const fake = await startFakeApns({ now: () => clock.at });
    const its = openChannel(fake, { now: () => clock.at });
    const close = async () => {
      await its.close();
      await fake.close();
    };
    return { clock, fake, send: () => its.send(toApp(), never), close };
  }

  test('is kept for forty minutes and then replaced', async () => {
    const { clock, fake, send, close } = await withClock();
    for (const minutes of [0, 39, 2, 38]) {
      clock.at += minutes * 60_000;
      expect(await send()).toEqual(accepted);
    }
    expect(fake.tokens.size).toBe(2);
    await close();
  });

  test('that APNs calls expired is replaced once, and the notification is taken', async () => {
    const { clock, fake, send, close } = await withClock();
    await send();
    clock.at += 21 * 60_000;
    fake.replyNext({ status: 403, reason: 'ExpiredProviderToken' });
    expect(await send()).toEqual(accepted);
    expect(fake.tokens.size).toBe(2);
    await close();
  });

  test('that APNs calls expired for all at once is replaced once', async () => {
    const { clock, fake, send, close } = await withClock();
    await send();
    clock.at += 21 * 60_000;
    for (let count = 0; count < 10; count += 1) fake.replyNext({ status: 403, reason: 'ExpiredProviderToken' });
    fake.holdUntil(10);
    expect(await Promise.all(Array.from({ length: 10 }, send))).toEqual(Array.from({ length: 10 }, () => accepted));
    expect(fake.tokens.size).toBe(2);
    await close();
  });

  test('is not replaced more often than Apple allows: the channel is down', async () => {
    const { clock, fake, send, close } = await withClock();
    await send();
    clock.at += 19 * 60_000;
    fake.replyNext({ status: 403, reason: 'ExpiredProviderToken' });
    expect(await send()).toEqual({ kind: 'channelDown', providerCode: 'ExpiredProviderToken' });
    expect(fake.tokens.size).toBe(1);
    await close();
  });

  test('of another key stops the channel', async () => {
    const other = await startFakeApns();
    const wrong = openChannel(apns, { key: other.key });
    expect(await wrong.send(toApp(), never)).toEqual({ kind: 'channelDown', providerCode: 'InvalidProviderToken' });
    await wrong.close();
    await other.close();
  });
});

describe('APNs’ answer', () => {
  const down = { kind: 'channelDown' } as const;
  const refused = { kind: 'rejected', reason: 'PROVIDER_REJECTED' } as const;
  const unsendable = { kind: 'rejected', reason: 'RENDER_FAILED' } as const;
  const retry = { kind: 'retry' } as const;
  const gone = { kind: 'gone' } as const;

  test.each([
    [400, 'BadCollapseId', unsendable],
    [400, 'BadDeviceToken', { ...refused, isSuspect: true }],
    [400, 'BadExpirationDate', unsendable],
    [400, 'BadMessageId', unsendable],
    [400, 'BadPriority', unsendable],
    [400, 'BadTopic', down],
    [400, 'DeviceTokenNotForTopic', { ...refused, isSuspect: true }],
    [400, 'DuplicateHeaders', unsendable],
    [400, 'IdleTimeout', retry],
    [400, 'InvalidPushType', unsendable],
    [400, 'MissingDeviceToken', unsendable],
    [400, 'MissingTopic', down],
    [400, 'PayloadEmpty', unsendable],
    [400, 'TopicDisallowed', down],
    [403, 'BadCertificate', down],
    [403, 'BadCertificateEnvironment', down],
    [403, 'BadEnvironmentKeyIdInToken', down],
    [403, 'ExpiredProviderToken', down],
    [403, 'Forbidden', down],
    [403, 'InvalidProviderToken', down],
    [403, 'MissingProviderToken', down],
    [403, 'UnrelatedKeyIdInToken', down],
    [404, 'BadPath', down],
    [405, 'MethodNotAllowed', down],
    [410, 'ExpiredToken', gone],
    [410, 'Unregistered', gone],
    [413, 'PayloadTooLarge', unsendable],
    [429, 'TooManyProviderTokenUpdates', down],
    [429, 'TooManyRequests', { ...retry, isMessageOnly: true }],
    [500, 'InternalServerError', retry],
    [503, 'ServiceUnavailable', retry],
    [503, 'Shutdown', retry],
    [400, 'OfTomorrow', refused],
    [403, 'OfTomorrow', down],
  ] as const)('%i %s', async (status, reason, verdict) => {
    apns.replyNext({ status, reason });
    expect(await channel.send(toApp(), never)).toEqual({ ...verdict, providerCode: reason });
  });

  test.each([
    [301, down],
    [400, refused],
    [404, down],
    [405, down],
    [408, retry],
    [410, gone],
    [413, unsendable],
    [418, down],
    [429, retry],
    [502, retry],
    [204, retry],
  ] as const)('%i without a reason', async (status, verdict) => {
    apns.replyNext({ status, body: status === 204 ? '' : '<html>' });
    expect(await channel.send(toApp(), never)).toEqual({ ...verdict, providerCode: String(status) });
  });

  test('that a token is gone says since when', async () => {
    apns.replyNext({ status: 410, reason: 'Unregistered', timestamp: 1_700_000_000_000 });
    expect(await channel.send(toApp(), never)).toEqual({
      kind: 'gone',
      providerCode: 'Unregistered',
      since: new Date(1_700_000_000_000),
    });
  });

  test('that asks to wait is obeyed', async () => {
    apns.replyNext({ status: 429, reason: 'TooManyRequests', headers: { 'retry-after': '30' } });
    expect(await channel.send(toApp(), never)).toEqual({
      kind: 'retry',
      isMessageOnly: true,
      retryAfterMs: 30_000,
      providerCode: 'TooManyRequests',
    });
  });

  test('in words that could hold a token is not passed on', async () => {
    apns.replyNext({ status: 400, reason: 'c0ffee is bad' });
    expect(await channel.send(toApp(), never)).toEqual({ ...refused, providerCode: '400' });
  });

  test('that is longer than any is not read', async () => {
    apns.replyNext({ status: 400, body: 'x'.repeat(100_000) });
    expect(await channel.send(toApp(), never)).toEqual({ ...retry, providerCode: 'REPLY_TOO_LONG' });
  });
});

describe('a key', () => {
  test.each([
    ['as it is', (pem: string) => pem],
    ['on one line', (pem: string) => pem.replaceAll('\n', '\\n')],
    ['in base64', (pem: string) => Buffer.from(pem).toString('base64')],
    ['without its first and last line', (pem: string) => pem.replaceAll(/-----.*-----|\n/g, '')],
  ])('is read from its file %s', (_, form) => {
    expect(parseApnsKey(form(apns.key))).toBe(apns.key);
  });

  test.each([
    ['nothing', ''],
    ['a word', 'secret'],
    ['a key on another curve', 'MC4CAQAwBQYDK2VwBCIEIEmVB9Zk2jMAKfhkjq9mDTrMQ0aQ1jN8sVb1YwRRe7dP'],
  ])('is not %s', (_, text) => {
    expect(parseApnsKey(text)).toBeNull();
  });
});
