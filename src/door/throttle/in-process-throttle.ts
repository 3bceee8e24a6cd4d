import type { Bucket, Budget, Throttle } from './throttle.ts';

/** How often buckets that have run empty are forgotten. @default 10_000 // 10 seconds */
const sweepMs = 10_000;

/** Buckets in this process's memory. */
export function createInProcessThrottle(now: () => number = () => performance.now()): Throttle {
  const buckets = new Map<string, { level: number; at: number; drainPerSecond: number }>();

  function levelOf({ name, drainPerSecond }: Budget): number {
    const bucket = buckets.get(name);
    return bucket ? Math.max(0, bucket.level - ((now() - bucket.at) / 1_000) * drainPerSecond) : 0;
  }

  const timer = setInterval(() => {
    for (const [name, { level, at, drainPerSecond }] of buckets) {
      if (((now() - at) / 1_000) * drainPerSecond >= level) buckets.delete(name);
    }
  }, sweepMs).unref();

  return {
    async take(budget, points) {
      const { name, limit, drainPerSecond } = budget;
      const level = levelOf(budget);
      const isTaken = level + points <= limit;
      const filled = isTaken ? level + points : level;
      if (isTaken) buckets.set(name, { level: filled, at: now(), drainPerSecond });
      return toBucket(budget, { isTaken, level: filled, points });
    },
    giveBack(budget, points) {
      const { name, drainPerSecond } = budget;
      if (buckets.has(name))
        buckets.set(name, { level: Math.max(0, levelOf(budget) - points), at: now(), drainPerSecond });
    },
    async close() {
      clearInterval(timer);
    },
  };
}

/** What a bucket's level means to who asked. */
export function toBucket(
  { limit, drainPerSecond }: Budget,
  { isTaken, level, points }: { isTaken: boolean; level: number; points: number },
): Bucket {
  return {
    isTaken,
    remaining: Math.floor(limit - level),
    emptyInMs: Math.ceil((level / drainPerSecond) * 1_000),
    retryAfterMs: isTaken ? 0 : Math.ceil(((level + points - limit) / drainPerSecond) * 1_000),
  };
}
