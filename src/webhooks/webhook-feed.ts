import { setTimeout as sleep } from 'node:timers/promises';
import { createEndpointClient } from '../channels/endpoint-client.ts';
import type { Deployment } from '../deployment.ts';
import { newId } from '../ids.ts';
import { type Teller, tellWebhook } from './tell-webhook.ts';
import { type ClaimedWebhook, claimWebhooks, releaseWebhooks } from './webhook-store.ts';

/** Webhooks told at once by one process. One that does not answer takes one of these places, until its time is over. @default 16 */
const concurrency = 16;
/** How often the log is looked at when nobody says that it has grown. @default 1_000 // 1 second */
const pollMs = 1_000;
/** How often at most, however fast it grows. @default 50 */
const pauseMs = 50;
/** @default 15_000 // 15 seconds, as Standard Webhooks recommends; a quarter of a lease at most */
const timeoutMsMax = 15_000;

interface FeedOptions extends Pick<Deployment, 'db' | 'bus' | 'cipher' | 'log'> {
  /** Also tells plain http, loopback and private addresses. For tests. */
  arePrivateEndpointsAllowed: boolean;
  leaseSeconds: number;
  /** No other process can be alive: what an earlier one held is taken back at once. */
  isAlone: boolean;
}

/** A process's share of telling webhooks. */
export interface WebhookFeed {
  /** Begins nothing more, cuts off what is under way, and resolves when that is given back. */
  stop(): Promise<void>;
}

/**
 * Tells webhooks of delivery events, from each one's cursor on. Any number of processes share them, by leases. It has places of
 * its own, apart from the jobs that deliver: a receiver that hangs holds up neither deliveries nor other webhooks.
 */
export function startWebhookFeed({ leaseSeconds, isAlone, bus, ...options }: FeedOptions): WebhookFeed {
  const stopping = new AbortController();
  const { signal } = stopping;
  const client = createEndpointClient(options);
  const timeoutMs = Math.min(timeoutMsMax, leaseSeconds * 250);
  const teller: Teller = { ...options, client, timeoutMs, signal };
  const token = newId();
  const underWay = new Set<Promise<void>>();
  let wake = Promise.withResolvers<void>();
  const unlisten = bus.listen(() => wake.resolve());

  async function tell(webhook: ClaimedWebhook): Promise<void> {
    try {
      await tellWebhook(teller, webhook);
    } catch (err) {
      // The claim runs out, and the next one tries again.
      options.log.error({ err, webhookId: webhook.webhookId }, 'A webhook could not be told.');
    }
  }

  /** @returns whether there may be more to tell at once. */
  async function begin(): Promise<boolean> {
    const limit = concurrency - underWay.size;
    if (limit === 0) return false;
    const webhooks = await claimWebhooks(options.db, { token, limit, leaseSeconds });
    for (const webhook of webhooks) {
      const work = tell(webhook).finally(() => {
        underWay.delete(work);
        // It may have more to be told, and its place is free.
        wake.resolve();
      });
      underWay.add(work);
    }
    return webhooks.length === limit;
  }

  async function run(): Promise<void> {
    if (isAlone) await attempt(() => releaseWebhooks(options.db, null));
    while (!signal.aborted) {
      wake = Promise.withResolvers();
      const hasMore = await attempt(begin);
      if (!hasMore) await Promise.race([wake.promise, pause(pollMs)]);
      await pause(pauseMs);
    }
    await Promise.all(underWay);
    await attempt(() => releaseWebhooks(options.db, token));
  }

  async function attempt<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (err) {
      options.log.error({ err }, 'Webhooks that have something to be told could not be looked for.');
      return null;
    }
  }

  /** A stop wakes it. */
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);

  const running = run();
  return {
    async stop() {
      stopping.abort();
      wake.resolve();
      unlisten();
      await running;
      client.close();
    },
  };
}
