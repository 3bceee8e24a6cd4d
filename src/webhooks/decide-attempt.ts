import { parseRetryAfter } from '../channels/retry-after.ts';

/** What an attempt to tell came to: a status of HTTP, or the name of what kept it from being one. */
export type AttemptEnd = { status: number; retryAfter?: string | undefined } | { failure: string };

/** What follows. */
export type AttemptDecision =
  | { kind: 'TOLD' }
  | { kind: 'RETRY'; failure: string; delayMs: number }
  /** Nothing more is told until somebody resumes it. */
  | { kind: 'DISABLE'; failure: string };

/** For how long a webhook may fail before it is disabled. @default 86_400_000 // 1 day */
const failingMsMax = 86_400_000;
/** @default 5_000 // 5 seconds after the first failure, doubled from there on */
const firstRetryMs = 5_000;
/** @default 3_600_000 // 1 hour */
const retryMsMax = 3_600_000;

/**
 * Any 2xx means that it was told; 410 that nobody wants it any more (Standard Webhooks, "Deliverability and reliability");
 * anything else, redirects too, that it is tried again, for a day. Pure but for the jitter (`random`, 0 to 1).
 *
 * @param failures attempts in a row that failed before this one.
 * @param failingMs since when, counted from the first of them; 0: this is the first.
 */
export function decideAttempt(
  end: AttemptEnd,
  { failures, failingMs, random }: { failures: number; failingMs: number; random: number },
): AttemptDecision {
  if ('status' in end && end.status >= 200 && end.status < 300) return { kind: 'TOLD' };
  const failure = 'status' in end ? String(end.status) : end.failure;
  if (failure === '410' || failingMs >= failingMsMax) return { kind: 'DISABLE', failure };
  const backoffMs = Math.min(retryMsMax, firstRetryMs * 2 ** Math.min(failures, 20)) * (0.5 + random);
  const askedMs = 'status' in end ? (parseRetryAfter(end.retryAfter) ?? 0) : 0;
  return { kind: 'RETRY', failure, delayMs: Math.max(backoffMs, askedMs) };
}
