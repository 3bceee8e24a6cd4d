import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useDatabase } from '../../support/database.ts';
import { hasTold, openTestGateway, startEventFlow, type TestGateway } from '../../support/event-flow.ts';
import { insertDeliveries, insertNotification, listLog } from '../../support/log-events.ts';
import { type Network, startNetwork } from '../../support/network.ts';
import { canStartRedis, type OwnRedis, sendCommand, startOwnRedis } from '../../support/redis.ts';
import { impatience, interrupted, restored, useRedisBuses } from '../../support/redis-buses.ts';
import { until } from '../../support/until.ts';

const database = useDatabase();
const isRedisStartable = await canStartRedis();
const openBus = useRedisBuses(impatience);

interface Trouble {
  begin(redis: OwnRedis, network: Network): Promise<unknown>;
  end(redis: OwnRedis, network: Network): Promise<unknown>;
  /** What each process says of it. */
  sentences: string[];
}

const troubles: [string, Trouble][] = [
  [
    'is killed and restarted',
    { begin: (redis) => redis.kill(), end: (redis) => redis.restart(), sentences: [interrupted, restored] },
  ],
  [
    'stands still and goes on, its connections untouched',
    {
      begin: async (redis) => redis.freeze(),
      end: async (redis) => redis.thaw(),
      sentences: [interrupted, restored],
    },
  ],
  [
    'is behind a network that loses everything for a while',
    {
      begin: async (_, network) => network.partition(),
      end: async (_, network) => network.heal(),
      sentences: [interrupted, restored],
    },
  ],
  ['is flushed', { begin: (redis) => sendCommand(redis.url, 'FLUSHALL'), end: async () => undefined, sentences: [] }],
];

describe.skipIf(!isRedisStartable)('while events flow', () => {
  let redis: OwnRedis;
  let network: Network;
  const gateways: TestGateway[] = [];

  beforeEach(async () => {
    redis = await startOwnRedis();
    network = await startNetwork(redis.port);
  });
  afterEach(async () => {
    for (const gateway of gateways.splice(0)) await gateway.close();
    await network.stop();
    await redis.stop();
  });

  test.each(troubles)('where Redis %s, each stream tells each event once and in order', async (_, trouble) => {
    const { begin, end, sentences } = trouble;
    const namespace = crypto.randomUUID();
    const open = () => openBus(`redis://127.0.0.1:${network.port}`, namespace);
    const [worker, polling, waiting] = [await open(), await open(), await open()];
    const processes = [worker, polling, waiting];
    const notificationId = await insertNotification(database.pool);
    const common = { pool: database.pool, notificationId };
    const poller = await openTestGateway({ ...common, bus: polling.bus, pollMs: 50 });
    // It polls once an hour: what it tells, Redis has woken it for.
    const waiter = await openTestGateway({ ...common, bus: waiting.bus });
    gateways.push(poller, waiter);

    const flow = startEventFlow(database.pool, worker.bus, notificationId);
    await Promise.all([hasTold(poller, 20), hasTold(waiter, 20)]);
    await begin(redis, network);
    await until(async () => processes.every((each) => each.sentences.length >= Math.min(sentences.length, 1)));
    // Streams go on meanwhile.
    await hasTold(poller, (poller.told[0]?.length ?? 0) + 20);
    await end(redis, network);
    await until(async () => processes.every((each) => each.sentences.length >= sentences.length));
    await flow.stop();
    await insertDeliveries(database.pool, { notificationId });
    worker.bus.wake();

    const log = await listLog(database.pool, notificationId);
    await Promise.all([hasTold(poller, log.length), hasTold(waiter, log.length)]);
    expect([...poller.told, ...waiter.told]).toEqual(Array(6).fill(log));
    expect(processes.map((each) => each.sentences)).toEqual(Array(3).fill(sentences));
  });
});
