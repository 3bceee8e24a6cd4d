import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectRedisBus } from '../../../src/stream/bus/redis-bus.ts';
import { hasTold, openTestGateway, startEventFlow } from '../../support/event-flow.ts';
import { type Follower, followBySse, followByWebSocket } from '../../support/follower.ts';
import { createTestLog, insertDeliveries, listLog } from '../../support/log-events.ts';
import { type Network, startNetwork } from '../../support/network.ts';
import { canStartRedis, type OwnRedis, startOwnRedis } from '../../support/redis.ts';
import { interrupted, restored } from '../../support/redis-buses.ts';
import { listEvents, readEpoch, serverKey, startTwoGateways, type TwoGateways } from '../../support/two-gateways.ts';
import { until } from '../../support/until.ts';

const isRedisStartable = await canStartRedis();
const troubleMs = 10_000;

type Step = (redis: OwnRedis, network: Network) => Promise<unknown>;

const troubles: [string, Step, Step][] = [
  ['the network loses everything', async (_, network) => network.partition(), async (_, network) => network.heal()],
  ['Redis stands still', async (redis) => redis.freeze(), async (redis) => redis.thaw()],
  ['Redis is dead', (redis) => redis.kill(), (redis) => redis.restart()],
];

describe.skipIf(!isRedisStartable)('two gateways with subscribers, while events flow', () => {
  let redis: OwnRedis;
  let network: Network;

  beforeEach(async () => {
    redis = await startOwnRedis();
    network = await startNetwork(redis.port);
  });
  afterEach(async () => {
    await network.stop();
    await redis.stop();
  });

  test.for(troubles)('where %s for ten seconds, nobody loses an event or a connection', async (trouble, {
    annotate,
  }) => {
    const [, begin, end] = trouble;
    const url = `redis://127.0.0.1:${network.port}`;
    await using gateways = await startTwoGateways(url);
    const { pool, bus, notification: notificationId } = gateways;
    const followers = follow(gateways);
    const { log, sentences } = createTestLog();
    const waitingBus = await connectRedisBus(url, { namespace: await readEpoch(pool), log });
    // It polls once an hour: what it tells, Redis has woken it for.
    const waiter = await openTestGateway({ pool, bus: waitingBus, notificationId });
    await until(async () => followers.every(({ states }) => states.length > 0));

    const flow = startEventFlow(pool, bus, notificationId);
    await until(async () => followers.every(({ events }) => events.length > 100));
    await begin(redis, network);
    await pause(troubleMs / 2);
    const before = followers.map(({ events }) => events.length);
    await pause(troubleMs / 2);
    const gained = followers.map(({ events }, index) => events.length - (before[index] ?? 0));
    await end(redis, network);
    const said = () => [gateways.first, gateways.second].map((gateway) => countSentences(gateway.stdout()));
    await until(async () => sentences.includes(restored) && said().every(({ endings }) => endings > 0));
    await flow.stop();
    await insertDeliveries(pool, { notificationId });
    bus.wake();

    const events = await listEvents(gateways);
    await until(async () => followers.every((follower) => follower.events.length >= events.length));
    await hasTold(waiter, events.length);
    for (const follower of followers) {
      expect(follower).toMatchObject({ events, states: ['LIVE'], endings: [], completion: null });
      await follower.close();
    }
    expect(waiter.told).toEqual(Array(3).fill(await listLog(pool, notificationId)));
    expect(Math.min(...gained)).toBeGreaterThan(0);
    expect(said()).toEqual(Array(2).fill({ beginnings: 1, endings: 1 }));
    await annotate(`In its last five seconds, each of 10 subscribers was told ${Math.min(...gained)} events or more.`);
    await waiter.close();
    await waitingBus.close();
  });
});

/** Three subscribers by WebSocket and two by SSE at each gateway. */
function follow({ first, second, notification }: TwoGateways): Follower[] {
  return [first, second].flatMap(({ url }) => {
    const options = { url: () => url, serverKey, notification };
    return [...Array.from({ length: 3 }, () => followByWebSocket(options)), followBySse(options), followBySse(options)];
  });
}

function countSentences(output: string) {
  return { beginnings: output.split(interrupted).length - 1, endings: output.split(restored).length - 1 };
}
