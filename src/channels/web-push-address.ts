import { ECDH } from 'node:crypto';
import { isIP } from 'node:net';
import { DomainError } from '../errors.ts';
import type { Address } from './channel.ts';
import { isPublicAddress } from './public-endpoint.ts';

/** A push subscription, as a browser's `PushSubscription.toJSON()` gives it. */
export type WebPushAddress = Extract<Address, { kind: 'webPush' }>;

/** Longest endpoint taken. Those of the known push services have less than 400 characters. */
const endpointLengthMax = 2_048;

/** Of Chrome before version 52; it knows no VAPID and was shut down in 2019. */
const gcmEndpoint = 'https://android.googleapis.com/gcm/send';

/**
 * A client's push subscription in normal form: endpoint as the URL standard writes it, keys in base64url without padding.
 * `path` is where it stands in the input. Throws `VALUE_INVALID`, naming the field, unless
 * - `endpoint` is an https URL without credentials, whose host, when it is an IP address, is public
 *   (`arePrivateEndpointsAllowed` takes http and every address); names are judged when they are resolved, at each send;
 * - `p256dh` is an uncompressed point of P-256, and `auth` has 16 bytes (RFC 8291, section 3).
 */
export function parseWebPushAddress(
  input: { endpoint: string; p256dh: string; auth: string },
  { path, arePrivateEndpointsAllowed }: { path: readonly string[]; arePrivateEndpointsAllowed: boolean },
): WebPushAddress {
  const refuse = (field: string, message: string) => new DomainError('VALUE_INVALID', message, [...path, field]);

  const url = URL.canParse(input.endpoint) ? new URL(input.endpoint) : null;
  if (url === null || input.endpoint.length > endpointLengthMax || url.username !== '' || url.password !== '') {
    throw refuse('endpoint', 'The endpoint is not the URL of a push service.');
  }
  if (!isEndpointAllowed(url, arePrivateEndpointsAllowed)) {
    throw refuse('endpoint', 'The endpoint is not an https URL of a public host.');
  }
  if (url.href.startsWith(gcmEndpoint)) throw refuse('endpoint', 'Google Cloud Messaging is no push service any more.');
  url.hash = '';

  const p256dh = decodeBase64Url(input.p256dh);
  if (p256dh === null || !isUncompressedPoint(p256dh)) {
    throw refuse('p256dh', 'The key is not an uncompressed P-256 point in base64url.');
  }
  const auth = decodeBase64Url(input.auth);
  if (auth?.length !== 16) throw refuse('auth', 'The authentication secret is not 16 bytes in base64url.');

  return {
    kind: 'webPush',
    endpoint: url.href,
    p256dh: p256dh.toString('base64url'),
    auth: auth.toString('base64url'),
  };
}

/** Whether a request may go to `url`, as far as the URL alone tells: see `publicOnly` for names. */
export function isEndpointAllowed(url: URL, arePrivateEndpointsAllowed: boolean): boolean {
  if (arePrivateEndpointsAllowed) return url.protocol === 'https:' || url.protocol === 'http:';
  const host = toHost(url);
  return url.protocol === 'https:' && (isIP(host) === 0 || isPublicAddress(host));
}

/** A URL's host as sockets take it: an IPv6 address without its brackets. */
export function toHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/** Bytes of base64url (RFC 4648, section 5), with or without padding; null for anything else. */
function decodeBase64Url(text: string): Buffer | null {
  const digits = text.replace(/={1,2}$/, '');
  const bytes = Buffer.from(digits, 'base64url');
  return bytes.toString('base64url') === digits ? bytes : null;
}

function isUncompressedPoint(bytes: Buffer): boolean {
  if (bytes.length !== 65 || bytes[0] !== 4) return false;
  try {
    ECDH.convertKey(bytes, 'prime256v1');
    return true;
  } catch (error) {
    // OpenSSL refuses a point that is not on the curve.
    if (error instanceof Error) return false;
    throw error;
  }
}
