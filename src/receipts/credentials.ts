import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isWebhookSigned } from '../webhooks/signature.ts';

// How a provider shows who it is. All comparisons take as long whatever is compared.

/** `Authorization: Basic <any name>:<secret>` (RFC 7617), or `Bearer <secret>`. */
export function showsSecret({ authorization = '' }: IncomingHttpHeaders, secret: string): boolean {
  const [scheme = '', credentials = ''] = authorization.split(' ');
  if (scheme.toLowerCase() === 'bearer') return isSame(credentials, secret);
  if (scheme.toLowerCase() !== 'basic') return false;
  const decoded = Buffer.from(credentials, 'base64').toString('utf8');
  return isSame(decoded.slice(decoded.indexOf(':') + 1), secret);
}

/** A signature as Standard Webhooks has it. */
export function isSigned(headers: IncomingHttpHeaders, secret: string, body: Uint8Array): boolean {
  const [id, timestamp, signature] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) =>
    String(headers[name] ?? ''),
  );
  return isWebhookSigned(secret, { id: id ?? '', timestamp: timestamp ?? '', signature: signature ?? '' }, { body });
}

/**
 * Twilio's signature (https://www.twilio.com/docs/usage/security, "Validating Signatures from Twilio"): HMAC-SHA-1 of the whole
 * URL and the form's fields in order of their names, in base64.
 *
 * @param url as Twilio has it, with its query.
 */
export function isSignedByTwilio(signature: string, { authToken, url, form }: TwilioCall): boolean {
  const names = [...new Set(form.keys())].sort();
  const fields = names.flatMap((name) => [...new Set(form.getAll(name))].sort().map((value) => `${name}${value}`));
  return isSame(
    signature,
    createHmac('sha1', authToken)
      .update(`${url}${fields.join('')}`)
      .digest('base64'),
  );
}

interface TwilioCall {
  authToken: string;
  url: string;
  form: URLSearchParams;
}

/** Of hashes, which are equally long. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [given, expected].map((text) => createHash('sha256').update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}
