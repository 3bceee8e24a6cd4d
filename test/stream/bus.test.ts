import { createServer, type Server } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openStorage } from '../../src/storage/database.ts';
import { findFreePort } from '../../src/storage/free-port.ts';
import type { Bus } from '../../src/stream/bus.ts';
import { createHub } from '../../src/stream/hub.ts';
import { createInProcessBus } from '../../src/stream/in-process-bus.ts';
import { connectRedisBus } from '../../src/stream/redis-bus.ts';
import { useDatabase } from '../support/database.ts';
import { createTestLog, insertDeliveries, insertNotification, setStatus } from '../support/log-events.ts';
import { canStartRedis, type OwnRedis, redisUrl, startOwnRedis } from '../support/redis.ts';

const database = useDatabase();
const sharedUrl = await redisUrl();
const isRedisStartable = await canStartRedis();
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of opened.splice(0).reverse()) await part.close();
});

async function openRedisBus(url: string, namespace: string = crypto.randomUUID()) {
  const { log, sentences } = createTestLog();
  const bus = await connectRedisBus(url, { namespace, log });
  opened.push(bus);
  return { bus, sentences };
}

async function openOwnRedis(): Promise<OwnRedis> {
  const redis = await startOwnRedis();
  opened.push({ close: redis.stop });
  return redis;
}

/** A counter of wake-ups, and how to wait for more of them. */
function countWakeUps(bus: Bus) {
  const counter = { count: 0 };
  bus.listen(() => {
    counter.count += 1;
  });
  return {
    counter,
    async moreThan(count: number) {
      await vi.waitUntil(() => counter.count > count, { timeout: 20_000 });
    },
  };
}

const kinds: [string, boolean, () => Promise<Bus>][] = [
  ['an in-process bus', false, async () => createInProcessBus()],
  ['a Redis bus', sharedUrl === null, async () => (await openRedisBus(sharedUrl ?? '')).bus],
];

describe.each(kinds)('%s', (_, isSkipped, open) => {
  test.skipIf(isSkipped)('wakes every listener of its own process, and no longer one that has stopped', async () => {
    const bus = await open();
    const [first, second] = [countWakeUps(bus), countWakeUps(bus)];
    let stoppedCount = 0;
    const stop = bus.listen(() => {
      stoppedCount += 1;
    });
    stop();
    const before = first.counter.count;
    bus.wake();
    await Promise.all([first.moreThan(before), second.moreThan(before)]);
    expect(stoppedCount).toBe(0);
  });

  test.skipIf(isSkipped)('wakes nobody any more once it is closed', async () => {
    const bus = await open();
    const { counter } = countWakeUps(bus);
    await bus.close();
    const before = counter.count;
    bus.wake();
    await nextTurn();
    await nextTurn();
    expect(counter.count).toBe(before);
  });
});

describe.skipIf(sharedUrl === null)('over Redis', () => {
  test('a wake-up reaches the other processes of the deployment, and no other deployment', async () => {
    const url = sharedUrl ?? '';
    const namespace = crypto.randomUUID();
    const [{ bus: here }, { bus: there }] = [await openRedisBus(url, namespace), await openRedisBus(url, namespace)];
    const { bus: elsewhere } = await openRedisBus(url);
    const [heardThere, heardElsewhere] = [countWakeUps(there), countWakeUps(elsewhere)];
    await nextTurn();
    const [thereBefore, elsewhereBefore] = [heardThere.counter.count, heardElsewhere.counter.count];
    here.wake();
    await heardThere.moreThan(thereBefore);
    // Messages of one server come in order: after this one nothing of before is under way.
    const probe = new Redis(url);
    await probe.publish(`carillon:wake:${namespace}`, 'probe');
    probe.disconnect();
    await heardThere.moreThan(thereBefore + 1);
    expect(heardElsewhere.counter.count).toBe(elsewhereBefore);
  });

  test('a wake-up does not come back to the process that sent it', async () => {
    const url = sharedUrl ?? '';
    const namespace = crypto.randomUUID();
    const [{ bus: here }, { bus: there }] = [await openRedisBus(url, namespace), await openRedisBus(url, namespace)];
    const [heardHere, heardThere] = [countWakeUps(here), countWakeUps(there)];
    await nextTurn();
    const [hereBefore, thereBefore] = [heardHere.counter.count, heardThere.counter.count];
    here.wake();
    await heardThere.moreThan(thereBefore);
    there.wake();
    await heardHere.moreThan(hereBefore + 1);
    expect(heardHere.counter.count).toBe(hereBefore + 2);
  });
});

describe('a Redis that is not there', () => {
  let server: Server | undefined;

  afterEach(() => {
    server?.close();
    server = undefined;
  });

  test.each([
    [
      'nobody listens',
      (port: number) => `redis://user:hunter2@127.0.0.1:${port}`,
      /^Redis at 127\.0\.0\.1:\d+ \(REDIS_URL\) does not answer: .*ECONNREFUSED.*\.$/,
    ],
    [
      'the name is nobody’s',
      () => 'redis://:hunter2@nowhere.invalid:6379',
      /^Redis at nowhere\.invalid:6379 \(REDIS_URL\) does not answer: .+\.$/,
    ],
    ['the URL is not Redis’s', () => 'http://:hunter2@127.0.0.1', /^REDIS_URL is not a URL such as/],
    ['the URL is none', () => 'hunter2', /^REDIS_URL is not a URL such as/],
  ])('where %s, the start is refused with one sentence without the password', async (_, toUrl, sentence) => {
    const url = toUrl(await findFreePort());
    const { log } = createTestLog();
    const error = await connectRedisBus(url, { namespace: 'n', log }).catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ name: 'StartupError', message: expect.stringMatching(sentence) });
    expect(String(error)).not.toContain('hunter2');
  });

  test('where somebody listens who never answers, the start is refused too', async () => {
    const port = await findFreePort();
    server = createServer().listen(port, '127.0.0.1');
    const { log } = createTestLog();
    await expect(connectRedisBus(`redis://127.0.0.1:${port}`, { namespace: 'n', log })).rejects.toMatchObject({
      name: 'StartupError',
    });
  });
});

describe.skipIf(!isRedisStartable)('a Redis of its own', () => {
  test('a wrong password is refused at the start', async () => {
    const redis = await openOwnRedis();
    const admin = new Redis(redis.url);
    await admin.config('SET', 'requirepass', 'right');
    admin.disconnect();
    const { log } = createTestLog();
    const url = redis.url.replace('redis://', 'redis://:hunter2@');
    const error = await connectRedisBus(url, { namespace: 'n', log }).catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ name: 'StartupError', message: expect.stringContaining('WRONGPASS') });
    expect(String(error)).not.toContain('hunter2');
  });

  test('killed and restarted, wake-ups go on; this process is woken meanwhile; it is said once that it went and came', async () => {
    const redis = await openOwnRedis();
    const namespace = crypto.randomUUID();
    const [{ bus: here, sentences }, { bus: there }] = [
      await openRedisBus(redis.url, namespace),
      await openRedisBus(redis.url, namespace),
    ];
    const [heardHere, heardThere] = [countWakeUps(here), countWakeUps(there)];
    await redis.kill();
    await vi.waitUntil(() => sentences.length > 0, { timeout: 20_000 });
    let before = heardHere.counter.count;
    here.wake();
    await heardHere.moreThan(before);
    before = heardThere.counter.count;
    await redis.restart();
    // What may have been missed counts as one, on both sides.
    await heardThere.moreThan(before);
    await vi.waitUntil(() => sentences.length > 1, { timeout: 20_000 });
    before = heardThere.counter.count;
    here.wake();
    await heardThere.moreThan(before);
    expect(sentences).toEqual([
      'Redis does not answer; other processes are heard by polling until it does',
      'Redis answers again',
    ]);
  });

  test('killed and restarted, a stream goes on and loses nothing', async () => {
    const redis = await openOwnRedis();
    const namespace = crypto.randomUUID();
    const [{ bus: worker }, { bus: gateway }] = [
      await openRedisBus(redis.url, namespace),
      await openRedisBus(redis.url, namespace),
    ];
    const storage = openStorage(database.url);
    const hub = createHub({ pool: storage.pool, bus: gateway, log: createTestLog().log, pollMs: 50 });
    opened.push(storage, hub);
    const notificationId = await insertNotification(database.pool);
    const stream = hub.events({ notificationId });
    await stream.next();
    const told: string[] = [];
    const follow = async (status: string) => {
      const { value } = await stream.next();
      if (value?.kind === 'event') told.push(value.entry.status);
      expect(told.at(-1)).toBe(status);
    };
    const ids = await insertDeliveries(database.pool, { notificationId });
    worker.wake();
    await follow('QUEUED');
    await redis.kill();
    await setStatus(database.pool, ids, 'SENT');
    worker.wake();
    await follow('SENT');
    await redis.restart();
    await setStatus(database.pool, ids, 'DELIVERED');
    worker.wake();
    await follow('DELIVERED');
    expect(told).toEqual(['QUEUED', 'SENT', 'DELIVERED']);
  });
});
