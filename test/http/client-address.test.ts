import { expect, test } from 'vitest';
import { createAddressPrefixOf } from '../../src/http/client-address.ts';

/** Who asks, as seen by a gateway that trusts these proxies. */
function prefixOf(remoteAddress: string | undefined, forwardedFor?: string, trusted: readonly string[] = []): string {
  const headers = forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor };
  return createAddressPrefixOf(trusted)({ socket: { remoteAddress }, headers });
}

const proxies = ['10.0.0.0/8', '192.0.2.7', 'fd00::/8'];

test.each([
  ['203.0.113.9', '203.0.113.0/24'],
  ['203.0.113.200', '203.0.113.0/24'],
  ['::ffff:203.0.113.9', '203.0.113.0/24'],
  ['::FFFF:203.0.113.9', '203.0.113.0/24'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['64:ff9b::203.0.113.9', '64:ff9b:0:0::/64'],
  ['', 'unknown'],
  [undefined, 'unknown'],
])('of the address %s the prefix is %s', (address, prefix) => {
  expect(prefixOf(address)).toBe(prefix);
});

test.each([
  ['one hop', '203.0.113.9', '203.0.113.0/24'],
  ['several hops: the last that is no proxy', '198.51.100.1, 203.0.113.9, 10.1.2.3', '203.0.113.0/24'],
  ['what the client itself claims to have come through', '1.1.1.1, 2.2.2.2, 203.0.113.9', '203.0.113.0/24'],
  ['proxies only: the first of them', '10.9.9.9, 192.0.2.7', '10.9.9.0/24'],
  ['IPv6', '2001:db8:1:2::9, fd00::1', '2001:db8:1:2::/64'],
  ['IPv4 as IPv6', '::ffff:203.0.113.9, ::ffff:10.0.0.1', '203.0.113.0/24'],
  ['a port', '203.0.113.9:51234, 10.0.0.1:80', '203.0.113.0/24'],
  ['a port behind IPv6', '[2001:db8:1:2::9]:51234, [fd00::1]', '2001:db8:1:2::/64'],
  ['no blanks', '203.0.113.9,10.0.0.1', '203.0.113.0/24'],
  ['nothing', '', '10.1.1.0/24'],
  ['garbage', 'unknown', '10.1.1.0/24'],
  ['garbage before a proxy', '1.1.1.1, _hidden, 10.2.2.2', '10.2.2.0/24'],
  ['garbage, and before it what the client made up', '1.1.1.1, unknown', '10.1.1.0/24'],
  ['a network', '1.1.1.1, 203.0.113.0/24', '10.1.1.0/24'],
])('a trusted proxy that forwards for %s is believed as far as it is one', (_, forwardedFor, prefix) => {
  expect(prefixOf('10.1.1.1', forwardedFor, proxies)).toBe(prefix);
  expect(prefixOf('::ffff:10.1.1.1', forwardedFor, proxies)).toBe(prefix);
});

test('nobody else is believed, and where no proxy is trusted, none', () => {
  expect(prefixOf('203.0.113.9', '198.51.100.1', proxies)).toBe('203.0.113.0/24');
  expect(prefixOf('10.1.1.1', '198.51.100.1')).toBe('10.1.1.0/24');
  expect(prefixOf('192.0.2.8', '198.51.100.1', proxies)).toBe('192.0.2.0/24');
  expect(prefixOf(undefined, '198.51.100.1', proxies)).toBe('unknown');
});
