import { expect, test, vi } from 'vitest';
import { followBySse, followByWebSocket } from '../support/follower.ts';
import { redisUrl } from '../support/redis.ts';
import { changeOver, listEvents, startTwoGateways } from '../support/two-gateways.ts';

const redis = await redisUrl();

// Two programs start and stop in it.
vi.setConfig({ testTimeout: 120_000 });

test.skipIf(redis === null)(
  'subscribers of a gateway that is killed at full flow go on at another one, with each event once and in order',
  async () => {
    const gateways = await startTwoGateways(redis ?? '');
    const { followers } = await changeOver(gateways, {
      signal: 'SIGKILL',
      follow: (options) => [
        ...Array.from({ length: 25 }, () => followByWebSocket(options, async () => undefined)),
        ...Array.from({ length: 5 }, () => followBySse(options)),
      ],
      eventsCount: 2_000,
      leadMax: 500,
    });
    const log = await listEvents(gateways);
    expect(log).toHaveLength(2_000);
    for (const { events, states, completion } of followers) {
      expect(completion).toBeNull();
      expect(events).toEqual(log);
      expect(states).toEqual(['LIVE', 'RECOVERED']);
    }
  },
);
