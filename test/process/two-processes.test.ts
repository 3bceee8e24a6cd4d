import { expect, test, vi } from 'vitest';
import { createClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { settledDeliveries } from '../support/operations.ts';
import { startProgram, startShortLeaseWorker } from '../support/program.ts';
import { redisUrl } from '../support/redis.ts';
import { countStories, followEvents, inFlightMax, infobipSettings, sendThousandSms } from '../support/thousand-sms.ts';

const redis = await redisUrl();
const SERVER_KEY = 'server-key-of-the-tests';

// Programs start and stop several times in each.
vi.setConfig({ testTimeout: 120_000 });

test.skipIf(redis === null)(
  'a worker that is killed in the middle of a thousand deliveries is followed by another, and a gateway tells each event once',
  async () => {
    const database = await createTestDatabase();
    const infobip = await startFakeInfobip({ holdAfter: 400 });
    const settings = {
      DATABASE_URL: database.url,
      REDIS_URL: redis ?? '',
      DATA_ENCRYPTION_KEY: Buffer.alloc(32, 5).toString('base64'),
      SERVER_KEY,
      ...infobipSettings(infobip),
    };
    await using gateway = await startProgram({ ROLE: 'gateway', ...settings });
    await using killed = await startShortLeaseWorker(settings);
    const server = createClient(gateway.url, SERVER_KEY);
    const notification = await sendThousandSms(server);
    const following = followEvents(server, notification, 2_000);
    await infobip.received(410);
    killed.send('SIGKILL');
    await killed.ended;
    expect(infobip.messages.length).toBeLessThan(1_000);
    infobip.release();

    await using next = await startShortLeaseWorker(settings);
    const events = await following;
    expect(countStories(events)).toEqual({ 'QUEUED SENT': 1_000 });
    expect(new Set(events.map(({ cursor }) => cursor)).size).toBe(2_000);
    // What was told while it happened is what the log tells afterwards, in the same order.
    expect(await followEvents(server, notification, 2_000)).toEqual(events);
    expect((await settledDeliveries(server, notification)).progress).toMatchObject({ total: 1_000, sent: 1_000 });
    expect(new Set(infobip.messages.map(({ to }) => to)).size).toBe(1_000);
    expect(infobip.requestCount()).toBeLessThanOrEqual(1_000 + inFlightMax);
    expect(await next.stop()).toEqual({ exitCode: 0, signal: null });
    expect(await gateway.stop()).toEqual({ exitCode: 0, signal: null });
    await infobip.close();
    await database.drop();
  },
);
