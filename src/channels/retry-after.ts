/** However long a provider asks for, the next try is at most this far away: an hour. */
const retryAfterMsMax = 3_600_000;

/**
 * Milliseconds that a Retry-After header asks to wait: seconds or an HTTP date (RFC 9110, section 10.2.3), between 0 and
 * an hour. Undefined without a header, or with one that is neither.
 */
export function parseRetryAfter(header: string | null | undefined, now = Date.now()): number | undefined {
  const text = header?.trim();
  if (!text) return undefined;
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), retryAfterMsMax);
}

/**
 * Milliseconds that a `google.rpc.RetryInfo` asks to wait (https://google.aip.dev/193): seconds with a fraction and an `s`, up
 * to an hour. Undefined when it is none.
 */
export function parseRetryDelay(text: string | undefined): number | undefined {
  const [, seconds] = /^(\d+(?:\.\d{1,9})?)s$/.exec(text ?? '') ?? [];
  return seconds === undefined ? undefined : Math.min(Math.ceil(Number(seconds) * 1_000), retryAfterMsMax);
}
