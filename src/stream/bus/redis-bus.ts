import { randomUUID } from 'node:crypto';
import { StartupError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { createOutage } from '../outage.ts';
import type { Bus } from './bus.ts';
import { createInProcessBus } from './in-process-bus.ts';
import { openRedisChannel } from './redis-channel.ts';
import { createRedisLink } from './redis-link.ts';
import { parseRedisUrl, type RedisNode, redisUrlRule } from './redis-node.ts';

const channelPrefix = 'carillon:wake:';

interface RedisBusOptions {
  /** Keeps deployments that share one Redis from waking each other. */
  namespace: string;
  log: Logger;
  /** How often each connection is asked whether it still carries anything: a cut one looks like a quiet one. @default 5_000 */
  heartbeatMs?: number;
  /** How long Redis may take to answer. @default 3_000 */
  answerWithinMs?: number;
}

/**
 * Wake-ups between processes, by Redis pub/sub on one channel, over one connection that listens and one that publishes.
 * `url` is REDIS_URL: one server, or nodes of a cluster.
 *
 * Rejects with a `StartupError` when Redis cannot be used now. Later it may go and come as it likes: this process's own
 * listeners are woken without it, an outage is logged once, and on its return everybody is woken once, since wake-ups
 * may have been missed.
 */
export async function connectRedisBus(url: string, options: RedisBusOptions): Promise<Bus> {
  const nodes = parseRedisUrl(url);
  if (nodes === null) throw new StartupError(`REDIS_URL ${redisUrlRule}`);
  const local = createInProcessBus();
  const closing = new AbortController();
  const { subscriber, publisher } = createLinks(nodes, { ...options, local, signal: closing.signal });

  async function close() {
    closing.abort();
    await Promise.all([subscriber.stop(), publisher.stop(), local.close()]);
  }

  try {
    await subscriber.start();
    await publisher.start();
  } catch (error) {
    await close();
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartupError(`Redis (REDIS_URL) cannot be used: ${reason}.`, { cause: error });
  }
  return {
    wake() {
      local.wake();
      publisher.send();
    },
    listen: local.listen,
    isServing: () => subscriber.hasServed() && publisher.hasServed(),
    close,
  };
}

type LinksOptions = RedisBusOptions & { local: Bus; signal: AbortSignal };

function createLinks(nodes: readonly RedisNode[], options: LinksOptions) {
  const { namespace, log, heartbeatMs = 5_000, answerWithinMs = 3_000, local, signal } = options;
  const sender = randomUUID();
  const channelOptions = { name: `${channelPrefix}${namespace}`, greeting: sender, answerWithinMs, signal };
  const outage = createOutage(log, {
    began: 'Redis carries no wake-ups; other processes are heard by polling until it does',
    ended: 'Redis carries wake-ups again',
  });
  // One outage takes both links down, and one of them notices first: it is over when both have served since.
  const common = {
    heartbeatMs,
    onServed() {
      if (subscriber.hasServed() && publisher.hasServed()) outage.over();
    },
    onFailed(error: unknown) {
      subscriber.doubt();
      publisher.doubt();
      return outage.failed(error);
    },
  };
  const subscriber = createRedisLink({
    ...common,
    async open() {
      const channel = await openRedisChannel(nodes, {
        ...channelOptions,
        onMessage(from) {
          if (from !== sender) local.wake();
        },
      });
      local.wake();
      return channel;
    },
    beat: (channel) => channel.subscribe(),
  });
  const publisher = createRedisLink({
    ...common,
    // Its greeting is as good as the wake-ups that failed before.
    open: () => openRedisChannel(nodes, channelOptions),
    beat: (channel) => channel.ping(),
    send: (channel) => channel.publish(sender),
  });
  return { subscriber, publisher };
}
