import type { Gateway } from '../support/gateway.ts';
import type { Row } from '../support/table.ts';
import type { Crowd } from './crowd.ts';
import { deliveryEvents } from './subscription.ts';

const limitKib = 25;
/** They come and go first, so that what a gateway takes once is there before. */
const warmUpSubscribers = 250;

/** Gateways that are filled, one after the other; they hardly differ. */
export const gatewaysFilled = 3;

interface MemoryOptions {
  subscribers: number;
  notificationId: string;
  startGateway: () => Promise<Gateway>;
}

/** What a gateway holds for each idle subscriber, in gateways of their own. */
export async function measureMemory(
  crowd: Crowd,
  { subscribers, notificationId, startGateway }: MemoryOptions,
): Promise<Row[]> {
  const standingKib: number[] = [];
  const rssKib: number[] = [];
  const usedKib: number[] = [];
  for (let round = 0; round < gatewaysFilled; round += 1) {
    await using gateway = await startGateway();
    const { url, authorization } = gateway;
    const variables = { notification: notificationId };
    const destination = { url, subscription: { authorization, query: deliveryEvents, variables } };
    await crowd.gather('idle', warmUpSubscribers, destination);
    await crowd.leave('idle');
    const before = await gateway.memory();
    await crowd.gather('idle', subscribers, destination);
    const after = await gateway.memory();
    await crowd.leave('idle');
    standingKib.push((after.standingBytes - before.rssBytes) / subscribers / 1_024);
    rssKib.push((after.rssBytes - before.rssBytes) / subscribers / 1_024);
    usedKib.push((after.usedBytes - before.usedBytes) / subscribers / 1_024);
  }
  const measure = rssKib.map(() => limitKib);
  const what = `memory of each of ${subscribers.toLocaleString('en-US')} idle subscribers`;
  const rest = { unit: 'KiB', of: 'limit', measure };
  return [
    { ...rest, what: `${what}, resident after collections`, ours: rssKib, limit: { atMost: 1 } },
    { ...rest, what: '… of which objects and buffers in use', ours: usedKib, limit: null },
    { ...rest, what: '… resident before collections', ours: standingKib, limit: null },
  ];
}
