import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { z } from 'zod';
import type { Channel, Message } from '../../src/channels/channel.ts';
import { newId } from '../../src/ids.ts';
import { until } from '../../test/support/until.ts';
import { type Child, startChild } from '../support/child.ts';

const probe = new URL('../support/gateway-probe.ts', import.meta.url);
const main = new URL('../../src/main.ts', import.meta.url);

/** What all processes of a run encrypt with. */
export const dataEncryptionKey = randomBytes(32);

/** A provider in a process of its own. */
export interface Provider extends AsyncDisposable {
  port: number;
  /** Forgets what came; answers after `answerMs` from then on. */
  reset(answerMs: number): Promise<void>;
  /** How many messages have come since, and how many a second. */
  told(): Promise<{ count: number; perSecond: number }>;
}

/** Starts the provider. */
export async function startProvider(): Promise<Provider> {
  const child = startChild(new URL('./provider.ts', import.meta.url));
  const { port } = await child.ask({ kind: 'open' }, z.object({ port: z.number() }));
  return {
    port,
    reset: async (answerMs) => void (await child.ask({ kind: 'reset', answerMs }, z.object({ count: z.number() }))),
    told: () => child.ask({ kind: 'told' }, z.object({ count: z.number(), perSecond: z.number() })),
    [Symbol.asyncDispose]: child[Symbol.asyncDispose],
  };
}

/** Starts a worker process as it is in production, which sends SMS and web pushes to the provider. */
export function startWorker({ databaseUrl, port }: { databaseUrl: string; port: number }): Child {
  return startChild(main, {
    nodeOptions: ['--expose-gc', `--import=${probe}`],
    settings: {
      ...{ NODE_ENV: 'production', ROLE: 'worker', DATABASE_URL: databaseUrl },
      ...{
        SMS_PROVIDER: 'infobip',
        SMS_BASE_URL: `http://127.0.0.1:${port}`,
        SMS_FROM: 'Carillon',
        INFOBIP_API_KEY: 'key',
      },
      ...{ DATA_ENCRYPTION_KEY: dataEncryptionKey.toString('base64'), SERVER_KEY: randomBytes(16).toString('hex') },
      ...{ APP_KEY: randomBytes(16).toString('hex'), ALLOW_PRIVATE_ENDPOINTS: '1' },
    },
  });
}

/** Waits until nothing is left to send. */
export async function untilSent(pool: pg.Pool): Promise<void> {
  await until(async () => {
    const { rows } = await pool.query<{ is_over: boolean }>(`
      select not exists (select from notifications where fan_out_finished_at is null)
        and not exists (select from notification_counts where status in ('QUEUED', 'SENDING') and current > 0) as is_over`);
    return rows[0]?.is_over ?? false;
  });
}

/** Sends under way at once: as many as one worker process has, four jobs with 32 each. */
const inFlight = 128;

/** Sends `count` messages without a database, as many at once as a worker does. */
export async function sendBare(channel: Channel, count: number, toMessage: (index: number) => Message): Promise<void> {
  let next = 0;
  const never = new AbortController().signal;
  const sender = async () => {
    while (next < count) {
      next += 1;
      const outcome = await channel.send(toMessage(next), never);
      if (outcome.kind !== 'accepted') throw new Error(`A message was not accepted: ${outcome.providerCode}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, sender));
}

/** A message as a worker would make it. */
export const messageTo = (address: Message['address'], channel: Message['channel']): Message => ({
  ...{ deliveryId: newId(), notificationId: newId(), channel, platform: null, address },
  content: {
    ...{ title: null, body: 'It arrives today.', subtitle: null, icon: null, image: null, url: null, data: null },
    buttons: [],
  },
  ...{ receiptToken: 'token', bodyLinks: new Map(), unsubscribeUrl: null, openUrl: null },
  ...{ expiresAt: new Date(Date.now() + 3_600_000), attempt: 1 },
});
