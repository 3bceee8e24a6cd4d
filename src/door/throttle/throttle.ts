import { GraphQLError } from 'graphql';
import type { Caller } from '../../apps/caller.ts';
import { operationCostMax } from '../../apps/operation-cost-max.ts';

/** A leaky bucket: what is done fills it, and it drains by itself. */
export interface Budget {
  /** Whose bucket it is. */
  readonly name: string;
  /** Points that it holds. Nothing that costs more can be done at all. */
  readonly limit: number;
  /** Points that drain from it each second. */
  readonly drainPerSecond: number;
}

/** What a bucket holds after something was put into it, or was not. */
export interface Bucket {
  /** Whether it went in. */
  readonly isTaken: boolean;
  /** Points that it still has room for. */
  readonly remaining: number;
  /** Milliseconds until it is empty. */
  readonly emptyInMs: number;
  /** Milliseconds until it has room for what did not go in; 0 when it did. */
  readonly retryAfterMs: number;
}

/** Holds everybody's buckets. */
export interface Throttle {
  /** Puts `points` into a bucket, if there is room for all of them. Never rejects. */
  take(budget: Budget, points: number): Promise<Bucket>;
  /** Takes `points` out again that were not used. Never rejects, and waits for nothing. */
  giveBack(budget: Budget, points: number): void;
  close(): Promise<void>;
}

/** What a caller is told whose bucket has no room: HTTP 429, and when to come back. @param facts for `extensions`, beside. */
export function refuseThrottled(
  message: string,
  { retryAfterMs }: Bucket,
  facts: Readonly<Record<string, unknown>> = {},
): GraphQLError {
  const seconds = Math.ceil(retryAfterMs / 1_000);
  const http = { status: 429, headers: { 'Retry-After': String(seconds) } };
  return new GraphQLError(`${message}: come back in ${seconds} s.`, {
    extensions: { code: 'THROTTLED', retryAfterMs, ...facts, http },
  });
}

/**
 * What each kind of caller may spend: the bucket, what drains from it each second, and the dearest single operation. Keys
 * of back ends are trusted, and only kept from drowning the database by mistake; a publishable key is in everybody's hands,
 * so that each address has a bucket of its own.
 */
const budgets = {
  SERVER: { limit: 1_000_000, drainPerSecond: 100_000, operationMax: operationCostMax.SERVER },
  DASHBOARD: { limit: 200_000, drainPerSecond: 10_000, operationMax: operationCostMax.DASHBOARD },
  PARTNER: { limit: 50_000, drainPerSecond: 1_000, operationMax: operationCostMax.PARTNER },
  INSTALLATION: { limit: 10_000, drainPerSecond: 200, operationMax: operationCostMax.INSTALLATION },
  APP: { limit: 50_000, drainPerSecond: 500, operationMax: operationCostMax.APP },
  nobody: { limit: 10_000, drainPerSecond: 200, operationMax: operationCostMax.nobody },
} as const;

/**
 * The bucket that a caller's operations go into: one for each key and installation; of publishable keys, and of nobody,
 * one for each address prefix, so that one who misuses a key shuts nobody else out.
 */
export function budgetOf(caller: Caller | null, addressPrefix: () => string): Budget & { operationMax: number } {
  const budget = budgets[caller?.kind ?? 'nobody'];
  if (caller === null) return { ...budget, name: `nobody ${addressPrefix()}` };
  const name = caller.kind === 'APP' ? `${caller.subjectId} ${addressPrefix()}` : caller.subjectId;
  return { ...budget, name };
}
