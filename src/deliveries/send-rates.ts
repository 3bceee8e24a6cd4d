import { setTimeout as sleep } from 'node:timers/promises';
import { Channel } from '../generated/prisma/enums.ts';

/**
 * How fast messages are handed to providers: a token bucket for each channel that has a rate, of this process alone. Up to a
 * second's worth goes at once.
 */
export interface SendRates {
  /** Waits for this send's turn. False: it was given up before. */
  take(channel: Channel, signal: AbortSignal): Promise<boolean>;
  /** Channels with more than a second's sends waiting: to claim more of them would only keep a job from others' messages. */
  listBusy(): Channel[];
}

/** @default 1_000 // 1 second */
const burstMs = 1_000;

/**
 * @param ratesPerSecond a channel that is not in it is not held back.
 * @param now a clock in milliseconds that never goes backwards.
 */
export function createSendRates(
  ratesPerSecond: Partial<Record<Channel, number>>,
  { now = () => performance.now() } = {},
): SendRates {
  const buckets = new Map(
    Object.entries(ratesPerSecond).map(([channel, rate]) => [
      channel,
      { intervalMs: 1_000 / rate, freeAt: Number.NEGATIVE_INFINITY },
    ]),
  );
  return {
    async take(channel, signal) {
      const bucket = buckets.get(channel);
      if (!bucket) return !signal.aborted;
      const startAt = Math.max(bucket.freeAt, now() - burstMs + bucket.intervalMs);
      bucket.freeAt = startAt + bucket.intervalMs;
      const waitMs = startAt - now();
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      return !signal.aborted;
    },
    listBusy: () =>
      Object.values(Channel).filter((channel) => {
        const bucket = buckets.get(channel);
        return bucket !== undefined && bucket.freeAt - bucket.intervalMs - now() > burstMs;
      }),
  };
}
