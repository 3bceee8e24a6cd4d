import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { createInProcessThrottle } from '../../src/door/throttle/in-process-throttle.ts';
import { createRedisThrottle } from '../../src/door/throttle/redis-throttle.ts';
import type { Budget, Throttle } from '../../src/door/throttle/throttle.ts';
import { parseRedisUrl } from '../../src/stream/bus/redis-node.ts';
import { createTestLog } from '../support/log-events.ts';
import { canStartRedis, redisUrl, startOwnRedis } from '../support/redis.ts';
import { startOwnCluster } from '../support/redis-cluster.ts';
import { until } from '../support/until.ts';

const url = await redisUrl();
const isRedisThere = await canStartRedis();

/** A bucket of 100 points that nobody else has; by default one that hardly drains. */
const newBudget = (drainPerSecond = 0.001): Budget => ({ name: randomUUID(), limit: 100, drainPerSecond });

let throttles: Throttle[] = [];
afterEach(async () => {
  for (const throttle of throttles) await throttle.close();
  throttles = [];
});

/** A gateway's throttle over Redis, and what it has logged. */
function openThrottle(redis: string, namespace: string = randomUUID()) {
  const nodes = parseRedisUrl(redis);
  if (!nodes) throw new Error('This is no URL of Redis.');
  const { log, sentences } = createTestLog();
  const throttle = createRedisThrottle({ nodes, namespace, log });
  throttles.push(throttle);
  return { throttle, sentences };
}

/** Whether what one takes is missed by the other. */
async function areTogether(one: Throttle, other: Throttle): Promise<boolean> {
  const budget = newBudget();
  await one.take(budget, 10);
  return (await other.take(budget, 10)).remaining === 80;
}

async function openTogether(redis: string) {
  const namespace = randomUUID();
  const [one, other] = [openThrottle(redis, namespace), openThrottle(redis, namespace)];
  await until(() => areTogether(one.throttle, other.throttle));
  return [one, other] as const;
}

const kinds: [string, () => Promise<Throttle>][] = [
  [
    'in this process',
    async () => {
      const throttle = createInProcessThrottle();
      throttles.push(throttle);
      return throttle;
    },
  ],
];
if (url) kinds.push(['in Redis', async () => (await openTogether(url))[0].throttle]);

describe.each(kinds)('buckets %s', (_, open) => {
  test('take what there is room for, and of anything else nothing', async () => {
    const [throttle, budget] = [await open(), newBudget()];
    expect(await throttle.take(budget, 60)).toMatchObject({ isTaken: true, remaining: 40, retryAfterMs: 0 });
    const refused = await throttle.take(budget, 50);
    expect(refused).toMatchObject({ isTaken: false, remaining: 40 });
    // 10 points too many, at a thousandth of a point each second.
    expect(refused.retryAfterMs).toBeGreaterThan(9_990_000);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(10_000_000);
    expect(refused.emptyInMs).toBeGreaterThan(59_990_000);
    expect(await throttle.take(budget, 40)).toMatchObject({ isTaken: true, remaining: 0 });
    expect(await throttle.take(budget, 1)).toMatchObject({ isTaken: false, remaining: 0 });
    expect(await throttle.take(budget, 0)).toMatchObject({ isTaken: true });
  });

  test('have room again for what was given back, and never more than all', async () => {
    const [throttle, budget] = [await open(), newBudget()];
    await throttle.take(budget, 100);
    throttle.giveBack(budget, 30);
    await until(async () => (await throttle.take(budget, 30)).isTaken);
    throttle.giveBack(budget, 1_000);
    await until(async () => (await throttle.take(budget, 1)).isTaken);
    expect((await throttle.take(budget, 0)).remaining).toBe(99);
  });

  test('drain by themselves', async () => {
    const [throttle, budget] = [await open(), newBudget(400)];
    await throttle.take(budget, 100);
    const { isTaken, retryAfterMs } = await throttle.take(budget, 80);
    expect(isTaken).toBe(false);
    expect(retryAfterMs).toBeLessThanOrEqual(200);
    await until(async () => (await throttle.take(budget, 80)).isTaken);
    await until(async () => (await throttle.take(budget, 0)).remaining === 100);
  });

  test('are everybody’s own', async () => {
    const [throttle, one, other] = [await open(), newBudget(), newBudget()];
    await throttle.take(one, 100);
    expect(await throttle.take(other, 100)).toMatchObject({ isTaken: true });
  });

  test('take exactly what they hold from many at once', async () => {
    const [throttle, budget] = [await open(), newBudget()];
    const taken = await Promise.all(Array.from({ length: 300 }, () => throttle.take(budget, 1)));
    expect(taken.filter(({ isTaken }) => isTaken)).toHaveLength(100);
  });
});

test('a bucket in this process drains by the clock: so many points each second, and no further than empty', async () => {
  let now = 5_000;
  const throttle = createInProcessThrottle(() => now);
  throttles.push(throttle);
  const budget = newBudget(10);
  await throttle.take(budget, 100);
  now += 2_500;
  expect(await throttle.take(budget, 26)).toEqual({
    isTaken: false,
    remaining: 25,
    emptyInMs: 7_500,
    retryAfterMs: 100,
  });
  now += 100;
  expect(await throttle.take(budget, 26)).toMatchObject({ isTaken: true, remaining: 0, emptyInMs: 10_000 });
  now += 3_600_000;
  expect(await throttle.take(budget, 100)).toMatchObject({ isTaken: true, remaining: 0 });
});

test.skipIf(!url)('gateways of one deployment share buckets in Redis, and those of another do not', async () => {
  const [{ throttle }] = await openTogether(url ?? '');
  const [{ throttle: stranger }] = await openTogether(url ?? '');
  expect(await areTogether(throttle, stranger)).toBe(false);
});

describe.skipIf(!isRedisThere)('when Redis', () => {
  async function startRedis() {
    const redis = await startOwnRedis();
    onTestFinished(() => redis.stop());
    return redis;
  }

  test('dies, each gateway throttles alone, without a word of failure to callers, and together again when it is back', async () => {
    const redis = await startRedis();
    const [one, other] = await openTogether(redis.url);
    const budget = newBudget();
    await redis.kill();
    expect(await one.throttle.take(budget, 60)).toMatchObject({ isTaken: true, remaining: 40 });
    expect(await one.throttle.take(budget, 60)).toMatchObject({ isTaken: false, remaining: 40 });
    expect(await other.throttle.take(budget, 60)).toMatchObject({ isTaken: true, remaining: 40 });
    one.throttle.giveBack(budget, 60);
    expect(await one.throttle.take(budget, 100)).toMatchObject({ isTaken: true, remaining: 0 });

    // Not before it has tried in vain: who was away for a moment says nothing of it.
    await until(async () => one.sentences.length > 0);
    await redis.restart();
    await until(() => areTogether(one.throttle, other.throttle));
    expect(one.sentences).toEqual([
      'Redis does not answer: each gateway throttles by itself until it does.',
      'Redis answers again: gateways throttle together.',
    ]);
  });

  test('answers nothing any more, operations wait for it once, and not each of them', async () => {
    const redis = await startRedis();
    const [one, other] = await openTogether(redis.url);
    redis.freeze();
    const began = performance.now();
    for (let count = 0; count < 40; count += 1) {
      expect(await one.throttle.take(newBudget(), 60)).toMatchObject({ isTaken: true, remaining: 40 });
    }
    // Each would have waited a quarter of a second.
    expect(performance.now() - began).toBeLessThan(5_000);
    redis.thaw();
    await until(() => areTogether(one.throttle, other.throttle));
  });

  test('is not there from the beginning, a gateway throttles alone until it is', async () => {
    const redis = await startRedis();
    await redis.kill();
    const namespace = randomUUID();
    const [one, other] = [openThrottle(redis.url, namespace), openThrottle(redis.url, namespace)];
    expect(await one.throttle.take(newBudget(), 60)).toMatchObject({ isTaken: true, remaining: 40 });
    await redis.restart();
    await until(() => areTogether(one.throttle, other.throttle));
  });

  test('is a cluster, gateways share buckets, though they were told of one node only', async () => {
    const cluster = await startOwnCluster();
    onTestFinished(() => cluster.stop());
    const [first, second] = cluster.nodes;
    const namespace = randomUUID();
    const { throttle } = openThrottle(first?.url ?? '', namespace);
    const { throttle: other } = openThrottle(second?.url ?? '', namespace);
    const { throttle: third } = openThrottle(cluster.nodes.map((node) => node.url).join(), namespace);
    await until(async () => {
      // Buckets on all nodes.
      const looks = Array.from({ length: 20 }, async () => {
        return (await areTogether(throttle, other)) && (await areTogether(other, third));
      });
      return (await Promise.all(looks)).every((isTogether) => isTogether);
    });
  });
});
