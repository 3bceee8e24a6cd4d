import type { OutgoingHttpHeaders } from 'node:http';
import type { LookupFunction } from 'node:net';
import webPush from 'web-push';
import type { Channel, Message, SendOutcome, Verdict } from './channel.ts';
import { createEndpointClient } from './endpoint-client.ts';
import { toFailureCode } from './failure-code.ts';
import { endpointNotPublic } from './public-endpoint.ts';
import { renderPush } from './render-push.ts';
import { parseRetryAfter } from './retry-after.ts';
import { isEndpointAllowed, type WebPushAddress } from './web-push-address.ts';

/** The key pair that tells push services who sends (VAPID, RFC 8292). */
export interface Vapid {
  /** Where the push service's operator finds whoever runs this: `mailto:` or `https:`. */
  subject: string;
  /** Uncompressed P-256 point in base64url: what a page passes as `applicationServerKey`. */
  publicKey: string;
  /** P-256 private key, 32 bytes in base64url. */
  privateKey: string;
}

/** How web push is sent. */
export interface WebPushOptions {
  vapid: Vapid;
  /** Also sends to plain http and to addresses that are not public. For tests. @default false */
  arePrivateEndpointsAllowed?: boolean;
  /** One send, from resolving the host to the end of the reply. @default 10_000 // 10 seconds */
  timeoutMs?: number;
  /** Resolves the names of push services. @default the system's resolver */
  lookup?: LookupFunction;
}

/** A new VAPID key pair. Subscriptions are bound to it: another pair loses them all. */
export function generateVapidKeys(): { publicKey: string; privateKey: string } {
  return webPush.generateVAPIDKeys();
}

/**
 * Longest JSON in bytes: a push service need not take more than a body of 4096 (RFC 8030, section 7.2), of which encryption
 * takes 86 for the header, 16 for the tag and 1 for the delimiter (RFC 8291, section 4; RFC 8188, section 2).
 */
export const payloadBytesMax = 3_993;

/**
 * Push to browsers (RFC 8030, encrypted by RFC 8291). The endpoint comes from a client, so it is treated as hostile: https
 * and public addresses only, the connection goes to the very address that was checked, redirects are not followed, and
 * nothing that one endpoint answers stops the channel for others.
 */
export function createWebPushChannel(options: WebPushOptions): Channel {
  const { vapid, arePrivateEndpointsAllowed = false, timeoutMs = 10_000, lookup } = options;
  const client = createEndpointClient({ arePrivateEndpointsAllowed, lookup });

  return {
    name: 'web-push',
    hasManyServices: true,
    async send(message, signal) {
      const { address } = message;
      if (address.kind !== 'webPush') throw new TypeError('Web push sends to push subscriptions.');
      const payload = Buffer.from(JSON.stringify(renderPush(message)));
      if (payload.length > payloadBytesMax) {
        return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'PAYLOAD_TOO_LARGE' };
      }
      const url = new URL(address.endpoint);
      if (!isEndpointAllowed(url, arePrivateEndpointsAllowed)) return notPublic;
      const request = encrypt({ message, address, payload, vapid });
      if (request === null) return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'ENCRYPTION_FAILED' };
      try {
        const reply = await client.post(url, {
          ...request,
          signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        });
        return classifyWebPushReply(reply.status, reply.retryAfter);
      } catch (error) {
        const providerCode = toFailureCode(error);
        return providerCode === endpointNotPublic ? notPublic : { kind: 'retry', providerCode };
      }
    },
    async close() {
      client.close();
    },
  };
}

const notPublic: SendOutcome = { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: endpointNotPublic };

/** Headers and body of the request; null when the subscription's keys are no keys. */
function encrypt({
  message,
  address,
  payload,
  vapid,
}: Encryption): { headers: OutgoingHttpHeaders; body: Buffer } | null {
  const { endpoint, p256dh, auth } = address;
  try {
    return webPush.generateRequestDetails({ endpoint, keys: { p256dh, auth } }, payload, {
      vapidDetails: vapid,
      TTL: Math.max(0, Math.floor((message.expiresAt.getTime() - Date.now()) / 1_000)),
      contentEncoding: 'aes128gcm',
    });
  } catch (error) {
    // The library throws plain errors, whose texts quote the subscription.
    if (error instanceof Error) return null;
    throw error;
  }
}

interface Encryption {
  message: Message;
  address: WebPushAddress;
  payload: Buffer;
  vapid: Vapid;
}

const refused: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED' };

const byStatus = new Map<number, Verdict>([
  [200, { kind: 'accepted' }], // Apple
  [201, { kind: 'accepted' }], // RFC 8030, section 5
  [202, { kind: 'accepted' }], // RFC 8030, section 5.1
  [204, { kind: 'accepted' }], // no content, but a success
  [400, refused], // a request the service cannot read: ours is always of the same form, so it is this subscription's
  // RFC 8292, section 4.2: 401 for no credentials, 403 for those of another key than the subscription was made for; Apple
  // answers 403 for a bad token too. Never channelDown: the endpoint is a client's choice, and one that answers 401 on
  // purpose would stop push for everybody.
  [401, refused],
  [403, refused],
  [404, { kind: 'gone' }], // RFC 8030, section 7.3
  [408, { kind: 'retry' }], // RFC 9110, section 15.5.9
  [410, { kind: 'gone' }], // RFC 8030, section 7.3
  [413, { kind: 'rejected', reason: 'RENDER_FAILED' }], // RFC 8030, section 7.2: the payload is too large
  [425, { kind: 'retry' }], // RFC 8470, section 5.2
  // RFC 8030, section 8.4: too many requests, with Retry-After. An attempt like any other: the endpoint is a client's choice, and
  // one that answers so for ever would be tried each second for as long as its message lives.
  [429, { kind: 'retry' }],
]);

/**
 * What a push service's reply means. `retryAfter` is the header's text. Redirects and the rest of 4xx are refusals,
 * 5xx is `retry`; what is not a status of HTTP is, too.
 */
export function classifyWebPushReply(status: number, retryAfter?: string): SendOutcome {
  const verdict: Verdict = byStatus.get(status) ?? (status >= 300 && status < 500 ? refused : { kind: 'retry' });
  const providerCode = String(status);
  if (verdict.kind !== 'retry') return { ...verdict, providerCode };
  const retryAfterMs = parseRetryAfter(retryAfter);
  return { kind: 'retry', providerCode, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}
