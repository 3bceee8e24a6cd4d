import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { Logger } from '../../logger.ts';
import { readMode } from '../../stream/bus/redis-channel.ts';
import type { RedisNode } from '../../stream/bus/redis-node.ts';
import { createOutage } from '../../stream/outage.ts';
import { createInProcessThrottle, toBucket } from './in-process-throttle.ts';
import type { Throttle } from './throttle.ts';

/** How long an operation waits for Redis before this process decides alone. @default 250 */
const answerWithinMs = 250;

/**
 * One bucket: its level, when it had that, and what goes in (or out, if negative). By the clock of Redis, so that no gateway's
 * clock matters. Answers whether it went in, and the level, whose fraction would be cut off were it not a text.
 */
const fill = `
local limit, drainPerSecond, points = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local known = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = tonumber(known[1] or '0')
local at = tonumber(known[2] or now)
level = math.max(0, level - math.max(0, now - at) / 1000 * drainPerSecond)
local isTaken = level + points <= limit
if isTaken then
  level = math.max(0, level + points)
  redis.call('HSET', KEYS[1], 'level', tostring(level), 'at', string.format('%.3f', now))
  redis.call('PEXPIRE', KEYS[1], math.ceil(level / drainPerSecond * 1000) + 1000)
end
return { isTaken and 1 or 0, tostring(level) }
`;

interface RedisThrottleOptions {
  nodes: readonly RedisNode[];
  /** Keeps deployments that share one Redis apart. */
  namespace: string;
  log: Logger;
}

/** Buckets that all gateways share. While Redis does not answer, each gateway has buckets of its own. */
export function createRedisThrottle({ nodes, namespace, log }: RedisThrottleOptions): Throttle {
  const alone = createInProcessThrottle();
  const outage = createOutage(log, {
    began: 'Redis does not answer: each gateway throttles by itself until it does.',
    ended: 'Redis answers again: gateways throttle together.',
  });
  /** Until then it is not asked, so that a Redis which has frozen does not hold every operation up. */
  let aloneUntil = 0;
  let isClosed = false;
  let client = watch(nodes.length > 1 ? connectCluster(nodes) : connectServer(nodes));

  function watch<Client extends Redis | Cluster>(connected: Client): Client {
    connected.defineCommand('fillBucket', { numberOfKeys: 1, lua: fill });
    connected.on('error', (error) => outage.failed(error));
    connected.on('ready', () => {
      aloneUntil = 0;
      outage.over();
      if (connected instanceof Redis) becomeCluster(connected).catch((error: unknown) => outage.failed(error));
    });
    return connected;
  }

  /** One node of a cluster, named alone, knows the others. */
  async function becomeCluster(server: Redis): Promise<void> {
    if (readMode(await server.hello(2)) !== 'cluster' || isClosed || client !== server) return;
    client = watch(connectCluster(nodes));
    server.disconnect();
  }

  async function run(name: string, ...args: number[]): Promise<{ isTaken: boolean; level: number }> {
    const answer: unknown = await Reflect.get(client, 'fillBucket').call(
      client,
      `carillon:throttle:${namespace}:${name}`,
      ...args,
    );
    if (!Array.isArray(answer)) throw new Error('Redis answered no bucket.');
    outage.over();
    return { isTaken: answer[0] === 1, level: Number(answer[1]) };
  }

  const isAlone = () => client.status !== 'ready' || performance.now() < aloneUntil;
  const fail = (error: unknown) => {
    aloneUntil = performance.now() + outage.failed(error);
  };

  return {
    async take(budget, points) {
      if (isAlone()) return alone.take(budget, points);
      try {
        return toBucket(budget, { ...(await run(budget.name, budget.limit, budget.drainPerSecond, points)), points });
      } catch (error) {
        fail(error);
        return alone.take(budget, points);
      }
    },
    giveBack(budget, points) {
      if (isAlone()) return alone.giveBack(budget, points);
      run(budget.name, budget.limit, budget.drainPerSecond, -points).catch(fail);
    },
    async close() {
      isClosed = true;
      client.disconnect();
      await alone.close();
    },
  };
}

function toOptions([first]: readonly RedisNode[]): RedisOptions & { host: string; port: number } {
  if (!first) throw new Error('REDIS_URL names a server.');
  const { host, port, username, password, isEncrypted } = first;
  return {
    host,
    port,
    username,
    password,
    ...(isEncrypted ? { tls: {} } : {}),
    commandTimeout: answerWithinMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
  };
}

function connectServer(nodes: readonly RedisNode[]): Redis {
  return new Redis(toOptions(nodes));
}

function connectCluster(nodes: readonly RedisNode[]): Cluster {
  const { host: _, port: __, ...redisOptions } = toOptions(nodes);
  return new Cluster(
    nodes.map(({ host, port }) => ({ host, port })),
    { redisOptions, enableOfflineQueue: false },
  );
}
