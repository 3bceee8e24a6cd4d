import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

/**
 * Who is asking, coarsely: what is throttled together where callers cannot be told apart otherwise. Of IPv4 the first 24 bits,
 * of IPv6 the first 64, which is what one customer of a provider usually has.
 */
export type AddressPrefixOf = (
  request: Pick<IncomingMessage, 'headers'> & { socket: { remoteAddress?: string | undefined } },
) => string;

/**
 * @param trustedProxies addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed: the last address in it that
 * is none of theirs is who asks. Nobody else's is looked at.
 */
export function createAddressPrefixOf(trustedProxies: readonly string[]): AddressPrefixOf {
  const trusted = new BlockList();
  for (const proxy of trustedProxies) {
    const [network = '', bits] = proxy.split('/');
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) trusted.addAddress(network, family);
    else trusted.addSubnet(network, Number(bits), family);
  }
  const isTrusted = (address: string) => {
    const family = isIP(address);
    return family !== 0 && trusted.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
  return ({ socket, headers }) => {
    let nearest = toAddress(socket.remoteAddress ?? '');
    const hops = String(headers['x-forwarded-for'] ?? '').split(',');
    // From the last one on, each was written by the one after it. Who is trusted is believed about the one before.
    while (isTrusted(nearest)) {
      const before = toAddress(hops.pop()?.trim() ?? '');
      // What is no address says nothing, and what stands before it may have been written by anybody.
      if (isIP(before) === 0) break;
      nearest = before;
    }
    return toPrefix(nearest);
  };
}

/** An address without the port that some proxies write behind it; one of IPv4 that came over an IPv6 socket as IPv4. */
function toAddress(text: string): string {
  const [, bracketed, dotted] = /^(?:\[(.*)\](?::\d+)?|([\d.]+):\d+)$/.exec(text) ?? [];
  return (bracketed ?? dotted ?? text).replace(/^::ffff:(?=\d+\.)/i, '');
}

function toPrefix(address: string): string {
  if (isIP(address) === 4) return `${address.split('.').slice(0, 3).join('.')}.0/24`;
  if (isIP(address) !== 6) return 'unknown';
  const [head = '', tail] = address.replace(/%.*$/, '').toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail ? tail.split(':') : [];
  const filled = [...groups, ...Array(Math.max(0, 8 - groups.length - after.length)).fill('0'), ...after];
  return `${filled
    .slice(0, 4)
    .map((group) => Number.parseInt(String(group), 16).toString(16))
    .join(':')}::/64`;
}
