import { expect, test, vi } from 'vitest';
import { followBySse, followByWebSocket } from '../support/follower.ts';
import { redisUrl } from '../support/redis.ts';
import { changeOver, listEvents, startTwoGateways } from '../support/two-gateways.ts';

const redis = await redisUrl();

// Two programs start and stop in it.
vi.setConfig({ testTimeout: 120_000 });

test.skipIf(redis === null)(
  'subscribers of a gateway that is asked to stop are sent away in order, and go on at another one with each event once',
  async () => {
    const gateways = await startTwoGateways(redis ?? '');
    const { followers, ending } = await changeOver(gateways, {
      signal: 'SIGTERM',
      follow: (options) => [
        ...Array.from({ length: 15 }, () => followByWebSocket(options, async () => undefined)),
        ...Array.from({ length: 5 }, () => followBySse(options)),
      ],
      eventsCount: 1_500,
      leadMax: 500,
    });
    expect(ending).toEqual({ exitCode: 0, signal: null });
    const log = await listEvents(gateways);
    expect(log).toHaveLength(1_500);
    for (const { events, states, completion } of followers) {
      // A word of completion would be the end for them: nobody comes back after that.
      expect(completion).toBeNull();
      expect(events).toEqual(log);
      expect(states).toEqual(['LIVE', 'RECOVERED']);
    }
    expect(followers.map(({ endings }) => endings)).toEqual([
      ...Array.from({ length: 15 }, () => [1001]),
      ...Array.from({ length: 5 }, () => ['whole']),
    ]);
  },
);
