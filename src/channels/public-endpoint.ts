import dns from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** `code` of the error that ends a connection to an address that is not public. */
export const endpointNotPublic = 'ENDPOINT_NOT_PUBLIC';

// IANA IPv4 Special-Purpose Address Registry (RFC 6890 and its updates), and multicast (RFC 5771).
const specialIpv4 = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8], // private
  ['100.64.0.0', 10], // carrier-grade NAT
  ['127.0.0.0', 8], // loopback
  ['169.254.0.0', 16], // link-local, and the metadata services of clouds
  ['172.16.0.0', 12], // private
  ['192.0.0.0', 24], // protocol assignments
  ['192.0.2.0', 24], // documentation
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16], // private
  ['198.18.0.0', 15], // benchmarking
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, and broadcast
] as const) {
  specialIpv4.addSubnet(network, prefix, 'ipv4');
}

// All global unicast addresses that are given out are in 2000::/3 (IANA IPv6 Address Space). Outside of it are loopback,
// unspecified, IPv4-mapped, NAT64, unique local, link-local and multicast addresses.
const globalIpv6 = new BlockList();
globalIpv6.addSubnet('2000::', 3, 'ipv6');
const specialIpv6 = new BlockList();
specialIpv6.addSubnet('2001::', 23, 'ipv6'); // protocol assignments, among them Teredo, which embeds IPv4
specialIpv6.addSubnet('2001:db8::', 32, 'ipv6'); // documentation
specialIpv6.addSubnet('2002::', 16, 'ipv6'); // 6to4, which embeds IPv4
specialIpv6.addSubnet('3fff::', 20, 'ipv6'); // documentation

/** Whether `address`, an IP address, is one that the public internet routes. Anything else is not. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !specialIpv4.check(address, 'ipv4');
  // With a zone (`fe80::1%eth0`) it is local to a link.
  if (isIP(address) !== 6 || address.includes('%')) return false;
  return globalIpv6.check(address, 'ipv6') && !specialIpv6.check(address, 'ipv6');
}

/**
 * `resolve` that fails with `ENDPOINT_NOT_PUBLIC` when any address of a name is not public. A socket connects to what its
 * lookup answered and asks no second time, so a name that resolves to something else a moment later gains nothing.
 * A host that is an IP address is never looked up: check it with `isPublicAddress`.
 */
export function publicOnly(resolve: LookupFunction = dns.lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, options, (error, address, family) => {
      if (error) return callback(error, address, family);
      const addresses = typeof address === 'string' ? [address] : address.map((entry) => entry.address);
      if (addresses.length > 0 && addresses.every(isPublicAddress)) return callback(null, address, family);
      const refusal: NodeJS.ErrnoException = new Error('The host has an address that is not public.');
      refusal.code = endpointNotPublic;
      callback(refusal, address, family);
    });
  };
}
