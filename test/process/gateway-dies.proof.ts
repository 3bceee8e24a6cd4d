import { expect, test } from 'vitest';
import { followByWebSocket } from '../support/follower.ts';
import { redisUrl } from '../support/redis.ts';
import { changeOver, listEvents, startTwoGateways } from '../support/two-gateways.ts';

const redis = await redisUrl();

test.skipIf(redis === null)(
  'a thousand subscribers of a gateway that is killed at full flow go on at another one, with each event once and in order',
  async ({ annotate }) => {
    const gateways = await startTwoGateways(redis ?? '');
    const startedAt = performance.now();
    const { followers } = await changeOver(gateways, {
      signal: 'SIGKILL',
      follow: (options) => Array.from({ length: 1_000 }, () => followByWebSocket(options)),
      eventsCount: 900,
      leadMax: 300,
    });
    const seconds = (performance.now() - startedAt) / 1_000;
    const log = await listEvents(gateways);
    expect(log).toHaveLength(900);
    for (const { events, states, completion } of followers) {
      expect(completion).toBeNull();
      expect(events).toEqual(log);
      expect(states).toEqual(['LIVE', 'RECOVERED']);
    }
    await annotate(`1,000 subscribers were told 900 events each, ${Math.round(900_000 / seconds)} events a second.`);
  },
);
