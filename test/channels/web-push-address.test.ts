import { describe, expect, test } from 'vitest';
import { parseWebPushAddress } from '../../src/channels/web-push-address.ts';

const path = ['address', 'webPush'];
const good = {
  endpoint: 'https://push.example.com/send/abc?x=1',
  p256dh: 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
  auth: 'BTBZMqHH6r4Tts7J_aSIgg',
};

function parse(change: Partial<typeof good> = {}, arePrivateEndpointsAllowed = false) {
  return parseWebPushAddress({ ...good, ...change }, { path, arePrivateEndpointsAllowed });
}

function refusing(field: string) {
  return expect.objectContaining({ name: 'DomainError', code: 'VALUE_INVALID', inputPath: [...path, field] });
}

test('a browser’s subscription is taken as it is', () => {
  expect(parse()).toEqual({ kind: 'webPush', ...good });
});

test('padding and what the URL standard normalises do not make another address', () => {
  expect(
    parse({
      auth: `${good.auth}==`,
      p256dh: `${good.p256dh}=`,
      endpoint: 'HTTPS://Push.Example.com:443/send/abc?x=1#f',
    }),
  ).toEqual(parse());
});

describe('refused as an endpoint', () => {
  test.each([
    '',
    'push.example.com/send',
    'http://push.example.com/send',
    'ftp://push.example.com/send',
    'file:///etc/passwd',
    'https://user:password@push.example.com/send',
    'https://127.0.0.1/send',
    'https://2130706433/send',
    'https://0x7f.1/send',
    'https://[::1]/send',
    'https://[::ffff:10.0.0.1]/send',
    'https://169.254.169.254/latest/meta-data',
    'https://android.googleapis.com/gcm/send/abc',
    `https://push.example.com/${'a'.repeat(2_048)}`,
  ])('%s', (endpoint) => {
    expect(() => parse({ endpoint })).toThrow(refusing('endpoint'));
  });

  test.each([
    'ftp://127.0.0.1/send',
    'https://user@127.0.0.1/send',
  ])('%s, also where private ones are allowed', (endpoint) => {
    expect(() => parse({ endpoint }, true)).toThrow(refusing('endpoint'));
  });
});

test.each([
  'http://127.0.0.1:8080/push',
  'https://[::1]:8443/push',
])('%s is taken where private endpoints are allowed', (endpoint) => {
  expect(parse({ endpoint }, true)).toMatchObject({ endpoint });
});

describe('refused as a key', () => {
  const point = Buffer.from(good.p256dh, 'base64url');
  const offTheCurve = Buffer.from(point);
  offTheCurve.writeUInt8(offTheCurve.readUInt8(64) ^ 1, 64);
  test.each([
    ['nothing', ''],
    ['64 bytes', point.subarray(0, 64).toString('base64url')],
    ['66 bytes', Buffer.concat([point, Buffer.alloc(1)]).toString('base64url')],
    ['a compressed point', Buffer.concat([Buffer.from([2]), point.subarray(1, 33)]).toString('base64url')],
    ['a point that is not on the curve', offTheCurve.toString('base64url')],
    ['base64 with + and /', point.toString('base64')],
    ['blanks in it', ` ${good.p256dh}`],
  ])('%s', (_, p256dh) => {
    expect(() => parse({ p256dh })).toThrow(refusing('p256dh'));
  });

  test.each([
    '',
    'BTBZMqHH6r4Tts7J_aSI',
    'BTBZMqHH6r4Tts7J_aSIggAA',
    'BTBZMqHH6r4Tts7J/aSIgg',
    'no secret at all!!',
  ])('auth %j', (auth) => {
    expect(() => parse({ auth })).toThrow(refusing('auth'));
  });
});
