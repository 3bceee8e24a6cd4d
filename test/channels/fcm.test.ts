import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Channel, Message, SendOutcome } from '../../src/channels/channel.ts';
import { createFcmChannel, type FcmOptions } from '../../src/channels/fcm.ts';
import { parseServiceAccount, type ServiceAccount } from '../../src/channels/service-account.ts';
import { type FakeFcm, startFakeFcm, toFcmError } from '../support/fakes/fake-fcm.ts';
import type { ScriptedReply } from '../support/fakes/loopback.ts';
import { testCertificate } from '../support/fakes/test-certificate.ts';
import { makeMessage } from '../support/make-message.ts';
import { until } from '../support/until.ts';

const never = new AbortController().signal;

let fcm: FakeFcm;
let channel: Channel;
beforeAll(async () => {
  fcm = await startFakeFcm();
  channel = openChannel(fcm);
});
afterAll(async () => {
  await channel.close();
  await fcm.close();
});

function accountOf({ serviceAccount }: Pick<FakeFcm, 'serviceAccount'>): ServiceAccount {
  const account = parseServiceAccount(serviceAccount);
  if (!account) throw new Error('This is no service account.');
  return account;
}

function openChannel(fake: FakeFcm, options: Partial<FcmOptions> = {}): Channel {
  return createFcmChannel({ account: accountOf(fake), baseUrl: fake.baseUrl, ...options });
}

function toApp(given: Omit<Parameters<typeof makeMessage>[0], 'channel' | 'address'> = {}): Message {
  return makeMessage({ channel: 'PUSH', platform: 'ANDROID', address: { kind: 'fcm', token: 'app-token' }, ...given });
}

/** What becomes of a message, and what FCM took of it. */
async function send(message: Message) {
  const before = fcm.messages.length;
  const outcome = await channel.send(message, never);
  return { outcome, taken: fcm.messages[before] };
}

const everything = {
  title: 'Parcel',
  body: 'is here',
  subtitle: 'At last',
  icon: 'https://e.com/icon.png',
  image: 'https://e.com/parcel.png',
  url: 'https://e.com/p',
  data: { order: '7', count: 2, place: { shelf: 'A' } },
};

describe('the message', () => {
  test('to an Android app is in FCM’s documented form', async () => {
    const message = toApp({ content: everything, expiresAt: new Date(Date.now() + 600_500) });
    const { outcome, taken } = await send(message);
    expect(outcome).toEqual({ kind: 'accepted', providerCode: '200' });
    expect(taken).toEqual({
      token: 'app-token',
      notification: { title: 'Parcel', body: 'is here', image: 'https://e.com/parcel.png' },
      data: {
        deliveryId: message.deliveryId,
        notificationId: message.notificationId,
        receiptToken: 'receipt-token',
        subtitle: 'At last',
        icon: 'https://e.com/icon.png',
        url: 'https://e.com/p',
        order: '7',
        count: '2',
        place: '{"shelf":"A"}',
      },
      android: { ttl: '600s', priority: 'HIGH', notification: { tag: message.deliveryId } },
    });
  });

  test('to an iOS app says what APNs needs', async () => {
    const message = toApp({ platform: 'IOS', content: everything, expiresAt: new Date(4_000_000_000_000) });
    const { taken } = await send(message);
    expect(taken?.apns).toEqual({
      headers: {
        'apns-push-type': 'alert',
        'apns-priority': '10',
        'apns-expiration': '4000000000',
        'apns-collapse-id': message.deliveryId,
      },
      payload: {
        aps: {
          alert: { title: 'Parcel', subtitle: 'At last', body: 'is here' },
          sound: 'default',
          'mutable-content': 1,
        },
      },
      fcm_options: { image: 'https://e.com/parcel.png' },
    });
    expect(taken).not.toHaveProperty('android');
  });

  test('to a web page says what its browser shows, and where it leads', async () => {
    const message = toApp({ platform: 'WEB', content: everything, expiresAt: new Date(Date.now() + 60_500) });
    const { taken } = await send(message);
    expect(taken?.webpush).toEqual({
      headers: { TTL: '60', Urgency: 'high' },
      notification: { tag: message.deliveryId, icon: 'https://e.com/icon.png' },
      fcm_options: { link: 'https://e.com/p' },
    });
  });

  test('to a web page has no link that FCM would refuse', async () => {
    const { outcome, taken } = await send(toApp({ platform: 'WEB', content: { url: 'shop://p' } }));
    expect(outcome.kind).toBe('accepted');
    expect(taken?.webpush).not.toHaveProperty('fcm_options');
  });

  test('with nothing but a body says nothing else', async () => {
    const message = toApp({ platform: null });
    expect((await send(message)).taken).toMatchObject({
      notification: { body: 'Hello' },
      data: { deliveryId: message.deliveryId, notificationId: message.notificationId, receiptToken: 'receipt-token' },
    });
  });

  test('keeps data under keys that FCM keeps for itself, or that are ours, out of the way', async () => {
    const data = { from: 'Ada', google_id: '1', 'gcm.x': '2', message_type: '3', deliveryId: 'mine', __proto__x: '4' };
    const message = toApp({ content: { data } });
    const { outcome, taken } = await send(message);
    expect(outcome.kind).toBe('accepted');
    expect(taken?.data).toMatchObject({
      'data.from': 'Ada',
      'data.google_id': '1',
      'data.gcm.x': '2',
      'data.message_type': '3',
      'data.deliveryId': 'mine',
      deliveryId: message.deliveryId,
    });
  });

  test.each([
    [-1_000, '0s'],
    [100 * 86_400_000, '2419200s'],
  ])('that lives %i ms more has a TTL of %s', async (lifeMs, ttl) => {
    const { taken } = await send(toApp({ expiresAt: new Date(Date.now() + lifeMs) }));
    expect(taken?.android?.ttl).toBe(ttl);
  });

  test('goes below a base URL that has a path', async () => {
    const proxied = openChannel(fcm, { baseUrl: `${fcm.baseUrl}/proxy` });
    // The fake knows no such path.
    expect(await proxied.send(toApp(), never)).toEqual({ kind: 'channelDown', providerCode: 'NOT_FOUND' });
  });
});

describe('the access token', () => {
  test('is asked for once, however many messages are sent at once', async () => {
    const fresh = openChannel(fcm);
    const before = fcm.tokenCount();
    await Promise.all(Array.from({ length: 20 }, () => fresh.send(toApp(), never)));
    await fresh.send(toApp(), never);
    expect(fcm.tokenCount()).toBe(before + 1);
  });

  test('is replaced before it ends, and nobody waits for that', async () => {
    const hurried = await startFakeFcm({ expiresInSeconds: 299 });
    const inAHurry = openChannel(hurried, { timeoutMs: 1_000 });
    const accepted = { kind: 'accepted', providerCode: '200' };
    await inAHurry.send(toApp(), never);
    const { promise, resolve } = Promise.withResolvers<ScriptedReply>();
    hurried.replyNextToken(promise);
    expect(await inAHurry.send(toApp(), never)).toEqual(accepted);
    expect(hurried.tokenCount()).toBe(1);
    // It cannot be replaced now, and is good for a while: it is tried again.
    resolve({ status: 503 });
    await until(async () => {
      expect(await inAHurry.send(toApp(), never)).toEqual(accepted);
      return hurried.tokenCount() > 1;
    });
    await hurried.close();
  });

  test('that is refused is replaced once, for all that were refused, and the messages are taken', async () => {
    await channel.send(toApp(), never);
    const before = fcm.tokenCount();
    fcm.revokeTokens();
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => channel.send(toApp(), never)));
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['accepted']));
    expect(fcm.tokenCount()).toBe(before + 1);
  });

  test('that is refused when it is fresh too stops the channel', async () => {
    const unauthenticated = toFcmError(401, { status: 'UNAUTHENTICATED' });
    fcm.replyNext(unauthenticated);
    fcm.replyNext(unauthenticated);
    expect(await channel.send(toApp(), never)).toEqual({ kind: 'channelDown', providerCode: 'UNAUTHENTICATED' });
  });

  const oauth = (status: number, error: string) => ({
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ error, error_description: 'Played by a test: sender@shop-1234.iam.gserviceaccount.com' }),
  });

  test.each<[string, ScriptedReply, SendOutcome]>([
    [
      'of an account that is not',
      oauth(400, 'invalid_grant'),
      { kind: 'channelDown', providerCode: 'OAUTH_INVALID_GRANT' },
    ],
    [
      'of a client that is not',
      oauth(401, 'invalid_client'),
      { kind: 'channelDown', providerCode: 'OAUTH_INVALID_CLIENT' },
    ],
    ['in words that could hold anything', oauth(403, 'Dear Ada'), { kind: 'channelDown', providerCode: 'OAUTH_403' }],
    ['elsewhere', { status: 302, headers: { location: '/' } }, { kind: 'channelDown', providerCode: 'OAUTH_302' }],
    ['too often', { status: 429 }, { kind: 'retry', providerCode: 'OAUTH_429' }],
    ['of a server that is busy', { status: 503 }, { kind: 'retry', providerCode: 'OAUTH_503' }],
    ['in vain', { status: 200, body: '<html>' }, { kind: 'retry', providerCode: 'OAUTH_REPLY_UNREADABLE' }],
  ])('that is asked for %s', async (_, reply, outcome) => {
    fcm.replyNextToken(reply);
    expect(await openChannel(fcm).send(toApp(), never)).toEqual(outcome);
  });

  test('is not waited for by who has given up', async () => {
    const slow = await startFakeFcm();
    const { port } = new URL(slow.baseUrl);
    await slow.close();
    const account = { ...accountOf(slow), tokenUri: `http://127.0.0.1:${port}/token` };
    const outcome = await openChannel(slow, { account }).send(toApp(), never);
    expect(outcome).toEqual({ kind: 'retry', providerCode: 'ECONNREFUSED' });
  });
});

describe('FCM’s answer', () => {
  const about = (
    status: number,
    errorCode: string,
    given: { message?: string; field?: string; retryDelay?: string } = {},
  ) => toFcmError(status, { status: 'WHATEVER', errorCode, ...given });
  const notAToken = 'The registration token is not a valid FCM registration token';

  test.each<[string, ScriptedReply, SendOutcome]>([
    ['UNREGISTERED', about(404, 'UNREGISTERED'), { kind: 'gone', providerCode: 'UNREGISTERED' }],
    [
      'SENDER_ID_MISMATCH',
      about(403, 'SENDER_ID_MISMATCH'),
      { kind: 'rejected', reason: 'PROVIDER_REJECTED', isSuspect: true, providerCode: 'SENDER_ID_MISMATCH' },
    ],
    [
      'INVALID_ARGUMENT of the payload',
      about(400, 'INVALID_ARGUMENT', { message: 'Android message is too big' }),
      { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'INVALID_ARGUMENT' },
    ],
    [
      'INVALID_ARGUMENT of a field',
      toFcmError(400, { status: 'INVALID_ARGUMENT', field: 'message.data[0].value' }),
      { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'INVALID_ARGUMENT' },
    ],
    [
      'INVALID_ARGUMENT of the token, told by its field',
      about(400, 'INVALID_ARGUMENT', { field: 'message.token' }),
      { kind: 'gone', providerCode: 'INVALID_ARGUMENT' },
    ],
    [
      'INVALID_ARGUMENT of the token, told by its sentence',
      about(400, 'INVALID_ARGUMENT', { message: notAToken }),
      { kind: 'gone', providerCode: 'INVALID_ARGUMENT' },
    ],
    [
      'INVALID_ARGUMENT of a field, whatever its sentence',
      about(400, 'INVALID_ARGUMENT', { message: notAToken, field: 'message.android.ttl' }),
      { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'INVALID_ARGUMENT' },
    ],
    [
      'QUOTA_EXCEEDED',
      about(429, 'QUOTA_EXCEEDED'),
      { kind: 'retry', isThrottled: true, othersWaitMs: 1_000, retryAfterMs: 60_000, providerCode: 'QUOTA_EXCEEDED' },
    ],
    [
      'QUOTA_EXCEEDED with Retry-After',
      { ...about(429, 'QUOTA_EXCEEDED'), headers: { 'retry-after': '7' } },
      { kind: 'retry', isThrottled: true, othersWaitMs: 1_000, retryAfterMs: 7_000, providerCode: 'QUOTA_EXCEEDED' },
    ],
    [
      'QUOTA_EXCEEDED with RetryInfo',
      about(429, 'QUOTA_EXCEEDED', { retryDelay: '53s' }),
      { kind: 'retry', isThrottled: true, othersWaitMs: 1_000, retryAfterMs: 53_000, providerCode: 'QUOTA_EXCEEDED' },
    ],
    [
      'QUOTA_EXCEEDED with both',
      { ...about(429, 'QUOTA_EXCEEDED', { retryDelay: '53s' }), headers: { 'retry-after': '7' } },
      { kind: 'retry', isThrottled: true, othersWaitMs: 1_000, retryAfterMs: 7_000, providerCode: 'QUOTA_EXCEEDED' },
    ],
    ['UNAVAILABLE', about(503, 'UNAVAILABLE'), { kind: 'retry', retryAfterMs: 10_000, providerCode: 'UNAVAILABLE' }],
    [
      'UNAVAILABLE with Retry-After',
      { ...about(503, 'UNAVAILABLE'), headers: { 'retry-after': '120' } },
      { kind: 'retry', retryAfterMs: 120_000, providerCode: 'UNAVAILABLE' },
    ],
    ['INTERNAL', about(500, 'INTERNAL'), { kind: 'retry', retryAfterMs: 10_000, providerCode: 'INTERNAL' }],
    [
      'THIRD_PARTY_AUTH_ERROR',
      about(401, 'THIRD_PARTY_AUTH_ERROR'),
      { kind: 'retry', isMessageOnly: true, retryAfterMs: 600_000, providerCode: 'THIRD_PARTY_AUTH_ERROR' },
    ],
    ['UNSPECIFIED_ERROR', about(500, 'UNSPECIFIED_ERROR'), { kind: 'retry', providerCode: 'UNSPECIFIED_ERROR' }],
    [
      'a code of tomorrow',
      about(400, 'OF_TOMORROW'),
      { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: 'OF_TOMORROW' },
    ],
    [
      'a permission that is not there',
      toFcmError(403, { status: 'PERMISSION_DENIED' }),
      { kind: 'channelDown', providerCode: 'PERMISSION_DENIED' },
    ],
    [
      'a project that is not there',
      toFcmError(404, { status: 'NOT_FOUND' }),
      { kind: 'channelDown', providerCode: 'NOT_FOUND' },
    ],
    [
      'a project’s quota',
      toFcmError(429, { status: 'RESOURCE_EXHAUSTED' }),
      {
        kind: 'retry',
        isThrottled: true,

        retryAfterMs: 60_000,
        providerCode: 'RESOURCE_EXHAUSTED',
      },
    ],
    ['no FCM', { status: 404, body: '<html>' }, { kind: 'channelDown', providerCode: '404' }],
    ['no method', { status: 405 }, { kind: 'channelDown', providerCode: '405' }],
    ['a redirect', { status: 302, headers: { location: '/' } }, { kind: 'channelDown', providerCode: '302' }],
    ['a request that took too long', { status: 408 }, { kind: 'retry', providerCode: '408' }],
    [
      'a refusal by somebody before FCM',
      { status: 400, body: 'no' },
      { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: '400' },
    ],
    ['a proxy that fails', { status: 502, body: '<html>' }, { kind: 'retry', providerCode: '502' }],
    [
      'a success that is none of FCM’s',
      { status: 200, body: '<html>' },
      { kind: 'retry', providerCode: 'REPLY_UNREADABLE' },
    ],
    ['a success without content', { status: 204 }, { kind: 'retry', providerCode: '204' }],
    [
      'more than any reply has',
      { status: 200, body: 'x'.repeat(100_000) },
      { kind: 'retry', providerCode: 'REPLY_TOO_LONG' },
    ],
    [
      'words that could hold an address',
      about(400, 'app-token ada@example.com'),
      { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: 'WHATEVER' },
    ],
  ])('%s', async (_, reply, outcome) => {
    fcm.replyNext(reply);
    expect(await channel.send(toApp(), never)).toEqual(outcome);
  });
});

test('over TLS all messages travel at once on one connection', async () => {
  const secure = await startFakeFcm({ tls: { ...testCertificate, host: 'localhost' } });
  const account = { ...accountOf(secure), tokenUri: fcm.tokenUri };
  const { privateKey } = accountOf(fcm);
  secure.replyNextToken({ status: 500 });
  const overTls = openChannel(secure, { account: { ...account, privateKey }, tls: { ca: testCertificate.cert } });
  secure.holdUntil(20);
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => overTls.send(toApp(), never)));
  // The tokens are another fake's, which this one does not know: each is asked for anew, and refused.
  expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['channelDown']));
  expect(secure.connectionCount()).toBe(1);
  await overTls.close();
  await secure.close();
});

describe('a service account', () => {
  test('is read from its file, as it is or in base64', () => {
    const { serviceAccount } = fcm;
    expect(parseServiceAccount(serviceAccount)).toMatchObject({ projectId: 'shop-1234', tokenUri: fcm.tokenUri });
    expect(parseServiceAccount(Buffer.from(serviceAccount).toString('base64'))).toEqual(
      parseServiceAccount(serviceAccount),
    );
  });

  test('without a token URL has Google’s', () => {
    const { token_uri: _, ...file } = JSON.parse(fcm.serviceAccount);
    expect(parseServiceAccount(JSON.stringify(file))?.tokenUri).toBe('https://oauth2.googleapis.com/token');
  });

  test.each([
    ['nothing', () => ''],
    ['a word', () => 'secret'],
    ['a list', () => '[]'],
    ['the file of somebody’s own credentials', () => '{"type":"authorized_user"}'],
    ['a key that is none', () => fcm.serviceAccount.replace('-----BEGIN', '-----BEGUN')],
    ['a project that leads elsewhere', () => fcm.serviceAccount.replace('shop-1234', '../x')],
    ['a token URL that is none', () => fcm.serviceAccount.replace(fcm.tokenUri, 'file:///etc/passwd')],
  ])('is not %s', (_, text) => {
    expect(parseServiceAccount(text())).toBeNull();
  });
});
