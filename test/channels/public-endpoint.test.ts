import type { LookupFunction } from 'node:net';
import { expect, test } from 'vitest';
import { isPublicAddress, publicOnly } from '../../src/channels/public-endpoint.ts';

test.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.0.1',
  '198.18.0.1',
  '198.51.100.7',
  '203.0.113.7',
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '::7f00:1',
  '64:ff9b::a00:1',
  '100::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '3fff::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fe80::1%eth0',
  '2606:4700::1%eth0',
  'fec0::1',
  'ff02::1',
  'localhost',
  '127.1',
  '',
])('%s is not public', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each([
  '1.1.1.1',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.0.1',
  '172.32.0.1',
  '142.250.1.1',
  '2606:4700::1111',
  '2a00:1450::1',
])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

/** Looks a name up that resolves to `answers`, one after the other, and counts how often it was asked for. */
function resolveBy(answers: string[][]): { lookup(): Promise<unknown>; askedCount(): number } {
  let askedCount = 0;
  const resolve: LookupFunction = (_hostname, _options, callback) => {
    const addresses = answers[askedCount] ?? [];
    askedCount += 1;
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return {
    lookup() {
      const { promise, resolve: succeed, reject } = Promise.withResolvers<unknown>();
      publicOnly(resolve)('push.example.com', { all: true }, (error, addresses) =>
        error ? reject(error) : succeed(addresses),
      );
      return promise;
    },
    askedCount: () => askedCount,
  };
}

test('a lookup answers the very addresses that were checked, and asks once', async () => {
  const { lookup, askedCount } = resolveBy([['1.1.1.1', '2606:4700::1111'], ['127.0.0.1']]);
  expect(await lookup()).toEqual([
    { address: '1.1.1.1', family: 4 },
    { address: '2606:4700::1111', family: 6 },
  ]);
  expect(askedCount()).toBe(1);
});

test('a name that turns private is refused at its next connection', async () => {
  const { lookup } = resolveBy([['1.1.1.1'], ['127.0.0.1']]);
  await lookup();
  await expect(lookup()).rejects.toMatchObject({ code: 'ENDPOINT_NOT_PUBLIC' });
});
