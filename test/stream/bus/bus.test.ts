import { createServer, type Server } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { findFreePort } from '../../../src/storage/free-port.ts';
import type { Bus } from '../../../src/stream/bus/bus.ts';
import { createInProcessBus } from '../../../src/stream/bus/in-process-bus.ts';
import { startNetwork } from '../../support/network.ts';
import { canStartRedis, type OwnRedis, redisUrl, sendCommand, startOwnRedis } from '../../support/redis.ts';
import {
  countWakeUps,
  hearEachOther,
  impatience,
  interrupted,
  restored,
  useRedisBuses,
} from '../../support/redis-buses.ts';
import { until } from '../../support/until.ts';

const sharedUrl = await redisUrl();
const isRedisStartable = await canStartRedis();
const openBus = useRedisBuses(impatience);
const ownServers: OwnRedis[] = [];

afterEach(async () => {
  for (const redis of ownServers.splice(0)) await redis.stop();
});

async function openOwnRedis(settings?: string[]): Promise<OwnRedis> {
  const redis = await startOwnRedis(settings);
  ownServers.push(redis);
  return redis;
}

/** Two processes of one deployment. */
async function openPair(url: string) {
  const namespace = crypto.randomUUID();
  const there = await openBus(url, namespace);
  return { here: await openBus(url, namespace), there, namespace };
}

const kinds: [string, boolean, () => Promise<Bus>][] = [
  ['an in-process bus', false, async () => createInProcessBus()],
  ['a Redis bus', sharedUrl === null, async () => (await openBus(sharedUrl ?? '')).bus],
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
    const before = first.count;
    bus.wake();
    await Promise.all([first.moreThan(before), second.moreThan(before)]);
    expect(stoppedCount).toBe(0);
  });

  test.skipIf(isSkipped)('wakes nobody any more once it is closed', async () => {
    const bus = await open();
    const heard = countWakeUps(bus);
    await bus.close();
    const before = heard.count;
    bus.wake();
    await nextTurn();
    await nextTurn();
    expect(heard.count).toBe(before);
  });
});

describe.skipIf(sharedUrl === null)('over Redis', () => {
  const url = sharedUrl ?? '';

  test('a wake-up reaches the other processes of the deployment, and no other deployment', async () => {
    const { bus: elsewhere } = await openBus(url);
    const { here, there, namespace } = await openPair(url);
    const [heardThere, heardElsewhere] = [countWakeUps(there.bus), countWakeUps(elsewhere)];
    await nextTurn();
    const before = heardElsewhere.count;
    here.bus.wake();
    await heardThere.moreThan(0);
    const heard = heardThere.count;
    // Messages of one server come in order: after this one nothing of before is under way.
    await sendCommand(url, 'PUBLISH', `carillon:wake:${namespace}`, 'probe');
    await heardThere.moreThan(heard);
    expect(heardElsewhere.count).toBe(before);
  });

  test('a wake-up does not come back to the process that sent it', async () => {
    const { here, there } = await openPair(url);
    const [heardHere, heardThere] = [countWakeUps(here.bus), countWakeUps(there.bus)];
    await nextTurn();
    const before = heardHere.count;
    here.bus.wake();
    await heardThere.moreThan(heardThere.count);
    there.bus.wake();
    await heardHere.moreThan(before + 1);
    expect(heardHere.count).toBe(before + 2);
  });
});

describe('a Redis that is not there', () => {
  let server: Server | undefined;

  afterEach(() => {
    server?.close();
    server = undefined;
  });

  const refused = /^Redis \(REDIS_URL\) cannot be used: 127\.0\.0\.1:\d+: connect ECONNREFUSED [\d.:]+\.$/;
  const wrong = /^REDIS_URL must be a URL like redis:\/\/host:6379, or such URLs of nodes/;
  test.each([
    ['nobody listens', (port: number) => `redis://user:hunter2@127.0.0.1:${port}`, refused],
    ['the name is nobody’s', () => 'redis://:hunter2@nowhere.invalid', /cannot be used: nowhere\.invalid:6379: .+\.$/],
    [
      'none of several is there',
      (port: number) => `redis://:hunter2@127.0.0.1:${port},redis://:hunter2@127.0.0.2:${port}`,
      /cannot be used: 127\.0\.0\.1:\d+: .* ECONNREFUSED [\d.:]+; 127\.0\.0\.2:\d+: .* ECONNREFUSED [\d.:]+\.$/,
    ],
    ['the URL is not Redis’s', () => 'http://:hunter2@127.0.0.1', wrong],
    ['the URL is none', () => 'hunter2', wrong],
  ])('where %s, the start is refused with one sentence without the password', async (_, toUrl, sentence) => {
    const error = await openBus(toUrl(await findFreePort())).catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ name: 'StartupError', message: expect.stringMatching(sentence) });
    expect(String(error)).not.toContain('hunter2');
  });

  test('where somebody listens who never answers, the start is refused too', async () => {
    const port = await findFreePort();
    server = createServer().listen(port, '127.0.0.1');
    await expect(openBus(`redis://127.0.0.1:${port}`)).rejects.toMatchObject({ name: 'StartupError' });
  });
});

describe.skipIf(!isRedisStartable)('a Redis of its own', () => {
  test.each([
    ['is wrong', ['--requirepass', 'right'], 'WRONGPASS'],
    ['is repeated by a server that does not know AUTH', ['--rename-command', 'AUTH', 'OTHER'], 'ERR unknown command'],
  ])('where the password %s, the start is refused without saying it', async (_, settings, reason) => {
    const redis = await openOwnRedis(settings);
    const url = redis.url.replace('redis://', 'redis://:hunter2@');
    const error = await openBus(url).catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ name: 'StartupError', message: expect.stringContaining(reason) });
    expect(inspect(error)).not.toContain('hunter2');
  });

  test('killed and restarted, wake-ups go on; this process is woken meanwhile; it is said once that it went and came', async () => {
    const redis = await openOwnRedis();
    const { here, there } = await openPair(redis.url);
    const [heardHere, heardThere] = [countWakeUps(here.bus), countWakeUps(there.bus)];
    await redis.kill();
    await until(async () => here.sentences.length > 0 && there.sentences.length > 0);
    here.bus.wake();
    await heardHere.moreThan(heardHere.count);
    const before = heardThere.count;
    await redis.restart();
    // What may have been missed counts as one.
    await heardThere.moreThan(before);
    await until(async () => here.sentences.length > 1 && there.sentences.length > 1);
    await hearEachOther([here.bus, there.bus]);
    expect([here.sentences, there.sentences]).toEqual(Array(2).fill([interrupted, restored]));
  });

  test.each([
    'subscribe',
    'publish',
  ])('where %s is refused for a while, it is said once and made good', async (verb) => {
    const redis = await openOwnRedis();
    const { here, there } = await openPair(redis.url);
    await sendCommand(redis.url, 'ACL', 'SETUSER', 'default', `-${verb}`);
    await until(async () => {
      here.bus.wake();
      return here.sentences.length > 0;
    });
    const heardThere = countWakeUps(there.bus);
    await sendCommand(redis.url, 'ACL', 'SETUSER', 'default', `+${verb}`);
    await heardThere.moreThan(0);
    await until(async () => here.sentences.length > 1);
    await hearEachOther([here.bus, there.bus]);
    expect(here.sentences).toEqual([interrupted, restored]);
  });

  test('a connection that was cut without a word is noticed while nobody uses it, and replaced', async () => {
    const redis = await openOwnRedis();
    const network = await startNetwork(redis.port);
    const namespace = crypto.randomUUID();
    const { bus: there } = await openBus(redis.url, namespace);
    const cut = await openBus(`redis://127.0.0.1:${network.port}`, namespace);
    network.partition();
    network.heal();
    await until(async () => cut.sentences.length > 1);
    await hearEachOther([cut.bus, there]);
    expect(cut.sentences).toEqual([interrupted, restored]);
    await cut.bus.close();
    await network.stop();
  });

  test.each([
    ['there', []],
    ['away', [interrupted]],
  ])('a bus that is closed while Redis is %s leaves nothing running and says nothing more', async (_, said) => {
    const redis = await openOwnRedis();
    const running = () => process.getActiveResourcesInfo().filter((kind) => /Timeout|TCP/.test(kind)).length;
    const before = running();
    const { bus, sentences } = await openBus(redis.url);
    if (said.length > 0) redis.freeze();
    await until(async () => sentences.length === said.length);
    await bus.close();
    await until(async () => running() <= before);
    redis.thaw();
    expect(sentences).toEqual(said);
  });
});
