import { expect, test } from 'vitest';
import { testKeys } from '../support/app.ts';
import { followByWebSocket } from '../support/follower.ts';
import { insertDeliveries, setStatus } from '../support/log-events.ts';
import { redisUrl } from '../support/redis.ts';
import { subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';
import { startTwoGateways } from '../support/two-gateways.ts';
import { until } from '../support/until.ts';

const redis = await redisUrl();
const eventsCount = 1_500;

test.skipIf(redis === null)(
  'subscribers that take nothing do not keep a gateway from stopping in order',
  async ({ annotate }) => {
    const { first, pool, bus, notification } = await startTwoGateways(redis ?? '');
    const deliveryIds = await insertDeliveries(pool, { notificationId: notification, count: eventsCount });
    // More than a connection holds.
    await pool.query(`update deliveries set provider_code = repeat('x', 10000)`);
    const subscription = {
      query: `subscription { deliveryEvents(notification: "${notification}") {
        ... on DeliveryEvent { cursor delivery { providerCode } }
      } }`,
      secret: testKeys.serverKey,
    };
    for (const subscribe of [subscribeByWebSocket, subscribeBySse]) {
      const subscriber = await subscribe(first.url, subscription);
      await subscriber.next();
      subscriber.hold();
    }
    const follower = followByWebSocket({ url: () => first.url, serverKey: testKeys.serverKey, notification });
    await until(async () => follower.states.length === 1);
    await setStatus(pool, deliveryIds, 'SENT');
    bus.wake();
    await until(async () => follower.events.length === eventsCount);
    await follower.close();
    const startedAt = performance.now();
    first.send('SIGTERM');
    expect(await first.ended).toEqual({ exitCode: 0, signal: null });
    expect(first.stderr()).toBe('');
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    await annotate(`A gateway with two subscribers that take nothing stopped in ${seconds} s.`);
  },
);
