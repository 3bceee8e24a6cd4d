import { z } from 'zod';
import { type ApnsKey, createProviderTokens } from './apns-token.ts';
import type { Channel, Message, SendOutcome, Verdict } from './channel.ts';
import { toFailureCode } from './failure-code.ts';
import type { HttpReply } from './http-client.ts';
import { createHttp2Client, type Http2Options } from './http2-client.ts';
import { parseJson } from './parse-json.ts';
import { renderApns } from './render-apns.ts';
import { toApnsHeaders } from './render-aps.ts';
import { parseRetryAfter } from './retry-after.ts';

/** Who sends to which app. */
export interface ApnsOptions extends ApnsKey {
  /** The app's bundle id. */
  topic: string;
  /** `https://api.sandbox.push.apple.com` for apps signed for development. @default https://api.push.apple.com */
  baseUrl?: string | undefined;
  /** One send, from connecting to the end of the reply. @default 10_000 // 10 seconds */
  timeoutMs?: number | undefined;
  /** How often a kept connection is asked whether it still lives. @default 60_000 // 1 minute */
  pingEveryMs?: number | undefined;
  tls?: Http2Options['tls'];
  /** Milliseconds since 1970, for the age of provider tokens. @default the system's clock */
  now?: (() => number) | undefined;
}

/** @default https://api.push.apple.com */
const defaultBaseUrl = 'https://api.push.apple.com';

/** Longest JSON in bytes (https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification). */
export const payloadBytesMax = 4_096;

/**
 * Push by the Apple Push Notification service: `POST /3/device/<token>` on one connection of HTTP/2
 * (https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns), with a provider token
 * signed by the key. `apns-id` is the delivery's id. A provider token that has expired is replaced once for that send.
 */
export function createApnsChannel({
  topic,
  baseUrl = defaultBaseUrl,
  timeoutMs = 10_000,
  ...options
}: ApnsOptions): Channel {
  const tokens = createProviderTokens(options, options.now);
  const http = createHttp2Client(new URL(baseUrl).origin, {
    timeoutMs,
    pingEveryMs: options.pingEveryMs,
    tls: options.tls,
  });

  return {
    name: 'apns',
    async send(message, givenUp) {
      const path = toPath(message, baseUrl);
      const body = JSON.stringify(renderApns(message));
      if (Buffer.byteLength(body) > payloadBytesMax) {
        return { kind: 'rejected', reason: 'RENDER_FAILED', providerCode: 'PAYLOAD_TOO_LARGE' };
      }
      const signal = AbortSignal.any([givenUp, AbortSignal.timeout(timeoutMs)]);
      const headers = { ...toApnsHeaders(message), 'apns-id': message.deliveryId, 'apns-topic': topic };
      const post = (token: string) =>
        http.post({ path, headers: { ...headers, authorization: `bearer ${token}` }, body, signal });
      try {
        const token = await tokens.get();
        const reply = await post(token);
        const newer = isTokenExpired(reply) ? await tokens.renew(token) : null;
        return classifyApnsReply(newer === null ? reply : await post(newer));
      } catch (error) {
        return { kind: 'retry', providerCode: toFailureCode(error) };
      }
    },
    close: () => http.close(),
  };
}

/** The token comes from a client: it must not reach another path. */
function toPath({ address }: Message, baseUrl: string): string {
  if (address.kind !== 'apns') throw new TypeError('APNs sends to device tokens.');
  return `${new URL(baseUrl).pathname.replace(/\/$/, '')}/3/device/${encodeURIComponent(address.token)}`;
}

const replySchema = z.object({
  reason: z.string(),
  /** Milliseconds since 1970: of a 410, when APNs knew that the token is no longer valid. */
  timestamp: z.int().positive().max(8_640_000_000_000_000).optional(),
});

function isTokenExpired({ status, text }: HttpReply): boolean {
  return status === 403 && replySchema.safeParse(parseJson(text)).data?.reason === 'ExpiredProviderToken';
}

const gone: Verdict = { kind: 'gone' };
const refused: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED' };
const suspect: Verdict = { kind: 'rejected', reason: 'PROVIDER_REJECTED', isSuspect: true };
const unsendable: Verdict = { kind: 'rejected', reason: 'RENDER_FAILED' };
const channelDown: Verdict = { kind: 'channelDown' };
const retry: Verdict = { kind: 'retry' };

/**
 * Reasons (https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns, "Response
 * error strings"), by their statuses.
 */
const byReason = new Map<string, Verdict>([
  // 400
  ['BadCollapseId', unsendable],
  // "Verify that … the token matches the environment": with the sandbox's base URL every token is bad, so that none is
  // retired. One whose app was removed is Unregistered.
  ['BadDeviceToken', suspect],
  ['BadExpirationDate', unsendable],
  ['BadMessageId', unsendable],
  ['BadPriority', unsendable],
  ['BadTopic', channelDown], // APNS_TOPIC is the same in every message
  ['DeviceTokenNotForTopic', suspect], // the same: with a wrong topic every token is another app's
  ['DuplicateHeaders', unsendable],
  ['IdleTimeout', retry],
  ['InvalidPushType', unsendable],
  ['MissingDeviceToken', unsendable],
  ['MissingTopic', channelDown],
  ['PayloadEmpty', unsendable],
  ['TopicDisallowed', channelDown],
  // 403
  ['BadCertificate', channelDown],
  ['BadCertificateEnvironment', channelDown],
  ['BadEnvironmentKeyIdInToken', channelDown], // the key is for the other environment
  ['ExpiredProviderToken', channelDown], // a fresh one too, or ours is less than 20 minutes old: the clock is wrong
  ['Forbidden', channelDown],
  ['InvalidProviderToken', channelDown], // the key, its id, the team's id or its signature
  ['MissingProviderToken', channelDown],
  ['UnrelatedKeyIdInToken', channelDown], // another key than the first one of this connection
  // 404, 405: it is not APNs
  ['BadPath', channelDown],
  ['MethodNotAllowed', channelDown],
  // 410, with the time
  ['ExpiredToken', gone],
  ['Unregistered', gone],
  // 413
  ['PayloadTooLarge', unsendable],
  // 429: for up to 20 minutes no token is good, which is longer than a delivery's attempts last
  ['TooManyProviderTokenUpdates', channelDown],
  ['TooManyRequests', { kind: 'retry', isMessageOnly: true }], // to this device
  // 500, 503
  ['InternalServerError', retry],
  ['ServiceUnavailable', retry],
  ['Shutdown', retry],
]);

/** Statuses, for a reason that is unknown or not there (the same page). What is not here: 5xx and 2xx are `retry`, the rest channelDown. */
const byHttpStatus = new Map<number, Verdict>([
  [400, refused],
  [403, channelDown],
  [404, channelDown],
  [405, channelDown],
  [408, retry],
  [410, gone],
  [413, unsendable],
  [429, retry],
]);

/** What APNs' reply means. */
function classifyApnsReply({ status, retryAfter, text }: HttpReply): SendOutcome {
  if (status === 200) return { kind: 'accepted', providerCode: '200' };
  const { data: reply } = replySchema.safeParse(parseJson(text));
  const providerCode = reply && /^[A-Za-z]{1,64}$/.test(reply.reason) ? reply.reason : String(status);
  const byStatus = byHttpStatus.get(status) ?? (status >= 500 || (status >= 200 && status < 300) ? retry : channelDown);
  const verdict = byReason.get(reply?.reason ?? '') ?? byStatus;
  if (verdict.kind === 'gone') {
    return { kind: 'gone', providerCode, ...(reply?.timestamp !== undefined && { since: new Date(reply.timestamp) }) };
  }
  if (verdict.kind !== 'retry') return { ...verdict, providerCode };
  const retryAfterMs = parseRetryAfter(retryAfter);
  return { ...verdict, providerCode, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}
