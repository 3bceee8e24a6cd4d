import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

// Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): how a call says
// who made it. Both ways: of what we send, and of what is told us of e-mail.

/** How far a call's timestamp may be from now, so that an old call cannot be made again. @default 300 // 5 minutes */
const toleranceSeconds = 300;

/** What is signed of a call. */
export interface WebhookCall {
  /** `webhook-id`: the same for each repeat of a call. */
  id: string;
  /** `webhook-timestamp`: seconds since 1970, when this attempt was made. */
  timestamp: number;
  body: string | Uint8Array;
}

/** A new secret: `whsec_` and 32 random bytes in base64. */
export function newWebhookSecret(): string {
  return toWebhookSecret(randomBytes(32));
}

export function toWebhookSecret(key: Uint8Array): string {
  return `whsec_${Buffer.from(key).toString('base64')}`;
}

/** The header `webhook-signature`: `v1,` and the HMAC-SHA-256 in base64. */
export function signWebhook(secret: string, call: WebhookCall): string {
  return `v1,${macOf(secret, call).toString('base64')}`;
}

/** The three headers of a call, as they came. */
export interface WebhookHeaders {
  id: string;
  timestamp: string;
  /** One signature or several, with blanks between them. */
  signature: string;
}

/** Whether a call was signed with `secret`, within five minutes of `nowMs`. In constant time. */
export function isWebhookSigned(
  secret: string,
  { id, timestamp, signature }: WebhookHeaders,
  { body, nowMs = Date.now() }: { body: string | Uint8Array; nowMs?: number },
): boolean {
  const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : Number.NaN;
  if (!(Math.abs(nowMs / 1_000 - seconds) <= toleranceSeconds) || id === '') return false;
  const expected = macOf(secret, { id, timestamp: seconds, body });
  return signature.split(' ').some((given) => {
    const mac = given.startsWith('v1,') ? Buffer.from(given.slice(3), 'base64') : Buffer.alloc(0);
    return mac.length === expected.length && timingSafeEqual(mac, expected);
  });
}

function macOf(secret: string, { id, timestamp, body }: WebhookCall): Buffer {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
}
