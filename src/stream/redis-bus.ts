import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { StartupError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Bus } from './bus.ts';
import { createInProcessBus } from './in-process-bus.ts';
import { createOutage, type Outage } from './outage.ts';

const channelPrefix = 'carillon:wake:';
const answerWithinMs = 3_000;
/** How often the subscriber asks whether its connection still carries anything: a cut one looks just like a quiet one. */
const heartbeatMs = 5_000;

interface RedisBusOptions {
  /** Keeps deployments that share one Redis from waking each other. */
  namespace: string;
  log: Logger;
}

/**
 * Wake-ups between processes, by Redis pub/sub on one channel, over one connection that listens and one that publishes.
 * Rejects with a `StartupError` when Redis does not answer now. Later it may go and come as it likes: this process's own
 * listeners are woken without it, an outage is logged once, and on its return everybody is woken once, since wake-ups
 * may have been missed.
 */
export async function connectRedisBus(url: string, { namespace, log }: RedisBusOptions): Promise<Bus> {
  const channel = `${channelPrefix}${namespace}`;
  const local = createInProcessBus();
  const outage = createOutage(log, {
    began: 'Redis does not answer; other processes are heard by polling until it does',
    ended: 'Redis answers again',
  });
  const subscriber = await connect(url);
  const publisher = await connect(url).catch((error: unknown) => {
    subscriber.disconnect();
    throw error;
  });
  for (const client of [subscriber, publisher]) client.on('error', (error) => outage.failed(error));

  // One outage takes both connections down: it is over when both serve again.
  const health = {
    failed: outage.failed,
    over() {
      if (subscription.isBegun() && publisher.status === 'ready') outage.over();
    },
  };
  const subscription = keepSubscribed(subscriber, channel, { outage: health, local });
  const publication = keepPublishing(publisher, channel, health);
  subscriber.on('message', (_, sender) => {
    if (sender !== publication.sender) local.wake();
  });
  try {
    await subscription.begin();
  } catch (error) {
    subscription.stop();
    subscriber.disconnect();
    publisher.disconnect();
    throw cannotReach(url, error);
  }

  return {
    wake() {
      local.wake();
      publication.publish();
    },
    listen: local.listen,
    async close() {
      subscription.stop();
      publication.stop();
      // Not `quit`, which waits for an answer that may never come.
      subscriber.disconnect();
      publisher.disconnect();
      await local.close();
    },
  };
}

/** A connection that is open and reopens itself for good; the first attempt decides whether there is one. */
async function connect(url: string): Promise<Redis> {
  if (!/^rediss?:$/.test(URL.parse(url)?.protocol ?? '')) {
    throw new StartupError('REDIS_URL is not a URL such as redis://127.0.0.1:6379.');
  }
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: answerWithinMs,
    commandTimeout: answerWithinMs,
    // While Redis is away a command fails at once: whoever gave it knows when to try again.
    enableOfflineQueue: false,
    maxRetriesPerRequest: null,
    // ioredis would subscribe again without looking at the answer.
    autoResubscribe: false,
    disableClientInfo: true,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + Math.random() / 2),
  });
  let failure: unknown;
  client.on('error', (error) => {
    failure = error;
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    // What `connect` rejects with says only that the connection is closed; the event before it says why.
    throw cannotReach(url, failure ?? error);
  }
  return client;
}

/** The sentence names host and port only: the URL may hold a password. */
function cannotReach(url: string, cause: unknown): StartupError {
  const reason =
    cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : cause.name) : String(cause);
  return new StartupError(`Redis at ${URL.parse(url)?.host} (REDIS_URL) does not answer: ${reason}.`, { cause });
}

/** Subscribes, by `begin` and whenever the connection is made anew, trying until it succeeds; watches that it stays alive. */
function keepSubscribed(client: Redis, channel: string, { outage, local }: { outage: Outage; local: Bus }) {
  let isBegun = false;
  let isStopped = false;
  let retry: NodeJS.Timeout | undefined;

  async function begin() {
    await client.subscribe(channel);
    isBegun = true;
    outage.over();
    local.wake();
  }

  function beginAgain() {
    clearTimeout(retry);
    if (isStopped || client.status !== 'ready') return;
    begin().catch((error: unknown) => {
      const delayMs = outage.failed(error);
      if (!isStopped) retry = setTimeout(beginAgain, delayMs);
    });
  }

  client.on('ready', beginAgain);
  client.on('close', () => {
    isBegun = false;
  });
  const heartbeat = setInterval(() => {
    if (client.status !== 'ready') return;
    client.ping().catch((error: unknown) => {
      outage.failed(error);
      if (!isStopped) client.disconnect(true);
    });
  }, heartbeatMs);

  return {
    begin,
    isBegun: () => isBegun,
    stop() {
      isStopped = true;
      clearTimeout(retry);
      clearInterval(heartbeat);
    },
  };
}

/**
 * Publishes with one command under way at a time: wake-ups carry nothing, so that all which come meanwhile are one. One
 * that fails is tried again until it succeeds, at the latest when the connection is back.
 */
function keepPublishing(client: Redis, channel: string, outage: Outage) {
  const sender = randomUUID();
  let isUnderWay = false;
  let isDue = false;
  let isStopped = false;
  let retry: NodeJS.Timeout | undefined;

  function publish() {
    isDue = true;
    if (isUnderWay || isStopped || retry) return;
    isDue = false;
    isUnderWay = true;
    client
      .publish(channel, sender)
      .then(
        () => outage.over(),
        (error: unknown) => {
          const delayMs = outage.failed(error);
          isDue = true;
          if (!isStopped) retry = setTimeout(publishAgain, delayMs);
        },
      )
      .finally(() => {
        isUnderWay = false;
        if (isDue) publish();
      });
  }

  function publishAgain() {
    clearTimeout(retry);
    retry = undefined;
    if (isDue) publish();
  }

  client.on('ready', () => {
    outage.over();
    publishAgain();
  });
  return {
    sender,
    publish,
    stop() {
      isStopped = true;
      clearTimeout(retry);
    },
  };
}
