import { createEndpointClient } from '../channels/endpoint-client.ts';
import type { Deployment } from '../deployment.ts';
import { newId } from '../ids.ts';
import { createPulse, type Next } from '../stream/pulse.ts';
import { type Teller, tellWebhook } from './tell-webhook.ts';
import { type ClaimedWebhook, claimWebhooks, releaseWebhooks } from './webhook-store.ts';

/** Webhooks told at once by one process. One that does not answer takes one of these places, until its time is over. @default 16 */
const concurrency = 16;
/** How often the log is looked at when nobody says that it has grown. @default 1_000 // 1 second */
const pollMs = 1_000;
/** @default 15_000 // 15 seconds, as Standard Webhooks recommends; a quarter of a lease at most */
const timeoutMsMax = 15_000;

interface FeedOptions extends Pick<Deployment, 'db' | 'bus' | 'cipher' | 'log'> {
  /** Also tells plain http, loopback and private addresses. */
  arePrivateWebhooksAllowed: boolean;
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
  const client = createEndpointClient({ arePrivateEndpointsAllowed: options.arePrivateWebhooksAllowed });
  const timeoutMs = Math.min(timeoutMsMax, leaseSeconds * 250);
  const teller: Teller = { ...options, client, timeoutMs, signal: stopping.signal };
  const token = newId();
  const underWay = new Set<Promise<void>>();
  let isFirst = true;

  async function tell(webhook: ClaimedWebhook): Promise<void> {
    try {
      await tellWebhook(teller, webhook);
    } catch (err) {
      // The claim runs out, and the next one tries again.
      options.log.error({ err, webhookId: webhook.webhookId }, 'A webhook could not be told.');
    }
  }

  async function step(): Promise<Next> {
    try {
      if (isFirst && isAlone) await releaseWebhooks(options.db, null);
      isFirst = false;
      const limit = concurrency - underWay.size;
      const webhooks = limit > 0 ? await claimWebhooks(options.db, { token, limit, leaseSeconds }) : [];
      for (const webhook of webhooks) {
        const work = tell(webhook).finally(() => {
          underWay.delete(work);
          // It may have more to be told, and its place is free.
          pulse.wake();
        });
        underWay.add(work);
      }
    } catch (err) {
      options.log.error({ err }, 'Webhooks that have something to be told could not be looked for.');
    }
    return { kind: 'onWake', ms: pollMs };
  }

  const pulse = createPulse(step, () => true);
  const unlisten = bus.listen(pulse.wake);
  pulse.wake();
  return {
    async stop() {
      unlisten();
      stopping.abort();
      await pulse.stop();
      await Promise.all(underWay);
      client.close();
      // What a lost database keeps held is free when its lease is over.
      await releaseWebhooks(options.db, token).catch((err: unknown) => {
        options.log.warn({ err }, 'Webhooks could not be given back.');
      });
    },
  };
}
