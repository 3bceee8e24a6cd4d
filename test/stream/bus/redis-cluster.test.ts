import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findFreePort } from '../../../src/storage/free-port.ts';
import { useDatabase } from '../../support/database.ts';
import { hasTold, openTestGateway, startEventFlow } from '../../support/event-flow.ts';
import { insertDeliveries, insertNotification, listLog } from '../../support/log-events.ts';
import { canStartRedis, type OwnRedis, sendCommand, startOwnRedis } from '../../support/redis.ts';
import { hearEachOther, interrupted, restored, type TestBus, useRedisBuses } from '../../support/redis-buses.ts';
import { clusterPassword, type OwnCluster, startOwnCluster } from '../../support/redis-cluster.ts';
import { until } from '../../support/until.ts';

const database = useDatabase();
const isRedisStartable = await canStartRedis();
const openBus = useRedisBuses();

function newDeployment() {
  const namespace = crypto.randomUUID();
  return { namespace, channel: `carillon:wake:${namespace}` };
}

describe.skipIf(!isRedisStartable)('over a Redis Cluster', () => {
  let cluster: OwnCluster;
  const buses: TestBus[] = [];

  beforeAll(async () => {
    cluster = await startOwnCluster();
  });
  afterEach(() => {
    // Whatever happened, the password was not told.
    for (const { lines } of buses.splice(0)) expect(lines.join('')).not.toContain(clusterPassword);
  });
  afterAll(() => cluster.stop());

  /** A process for each node, that knows of this node only, or of all nodes with this one first. */
  async function openEverywhere(namespace: string, seeds: 'this node' | 'all nodes' = 'all nodes') {
    for (const { url } of cluster.nodes) {
      const others = cluster.nodes.map((node) => node.url).filter((other) => other !== url);
      buses.push(await openBus(seeds === 'this node' ? url : [url, ...others].join(), namespace));
    }
    return buses.map(({ bus }) => bus);
  }

  test('wake-ups pass between processes that know of different nodes, at the node that owns their slot', async () => {
    const { namespace, channel } = newDeployment();
    await hearEachOther(await openEverywhere(namespace, 'this node'));
    const { url } = await cluster.findOwner(channel);
    expect(await sendCommand(url, 'PUBSUB', 'SHARDNUMSUB', channel)).toEqual([channel, 3]);
  });

  test('a start succeeds where the first node is dead and another one lives', async () => {
    const dead = `redis://:${clusterPassword}@127.0.0.1:${await findFreePort()}`;
    const { namespace } = newDeployment();
    for (const { url } of cluster.nodes) buses.push(await openBus(`${dead},${url}`, namespace));
    await hearEachOther(buses.map(({ bus }) => bus));
  });

  test('wake-ups go on when their slot moves to another node, and when it moves back, which is no outage', async () => {
    const { namespace, channel } = newDeployment();
    const processes = await openEverywhere(namespace);
    const owner = await cluster.findOwner(channel);
    const other = cluster.nodes.find((node) => node !== owner) ?? owner;
    await cluster.moveSlot(channel, other);
    await hearEachOther(processes);
    await cluster.moveSlot(channel, owner);
    await hearEachOther(processes);
    expect(buses.flatMap(({ sentences }) => sentences)).toEqual([]);
  });

  test('where the node that carries wake-ups is killed and restarted, it is said once, and streams have lost nothing', async () => {
    const { namespace, channel } = newDeployment();
    const [worker, ...processes] = await openEverywhere(namespace);
    if (!worker) throw new Error('There are three of them.');
    const notificationId = await insertNotification(database.pool);
    const [poller, waiter] = await Promise.all(
      processes.map((bus, index) =>
        openTestGateway({ pool: database.pool, bus, notificationId, ...(index === 0 && { pollMs: 50 }) }),
      ),
    );
    if (!poller || !waiter) throw new Error('There are two of them.');
    const flow = startEventFlow(database.pool, worker, notificationId);
    await hasTold(waiter, 10);

    const owner = await cluster.findOwner(channel);
    await owner.kill();
    await until(async () => buses.every(({ sentences }) => sentences.length > 0));
    await hasTold(poller, (poller.told[0]?.length ?? 0) + 10);
    await owner.restart();
    await until(async () => buses.every(({ sentences }) => sentences.length > 1));
    await flow.stop();
    await insertDeliveries(database.pool, { notificationId });
    worker.wake();

    const log = await listLog(database.pool, notificationId);
    await Promise.all([hasTold(poller, log.length), hasTold(waiter, log.length)]);
    expect([...poller.told, ...waiter.told]).toEqual(Array(6).fill(log));
    expect(buses.map(({ sentences }) => sentences)).toEqual(Array(3).fill([interrupted, restored]));
    for (const gateway of [poller, waiter]) await gateway.close();
  });
});

describe.skipIf(!isRedisStartable)('over servers that are no cluster', () => {
  const servers: OwnRedis[] = [];
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  test('a start is refused: processes at different ones would not hear each other', async () => {
    servers.push(await startOwnRedis(), await startOwnRedis());
    await expect(openBus(servers.map(({ url }) => url).join())).rejects.toMatchObject({
      name: 'StartupError',
      message: expect.stringMatching(/127\.0\.0\.1:\d+: is no node of a Redis Cluster, and stands beside others; /),
    });
  });
});
