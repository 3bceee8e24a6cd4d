import { setTimeout as sleep } from 'node:timers/promises';
import type { Row } from '../support/table.ts';
import { now } from './clock.ts';
import type { Contender } from './contender.ts';
import type { Crowd, CrowdReceipts } from './crowd.ts';

interface Load {
  /** Subscribers of each of the two servers. */
  subscribers: number;
  rounds: number;
  /** About how many messages a round has in which events come as fast as they can. */
  messages: number;
}

/** What a round has shown of a server. */
interface Round {
  messagesPerSecond: number;
  cpuPerMessageUs: number;
  pacedCpuPerMessageUs: number;
  p99Ms: number;
}

/** So many events are changed by one transaction, as a worker writes outcomes; the raw peer is told of as many at once. */
const eventsPerCommit = 10;
/** A round of latency: at 4 events a second. */
const pacedEvents = 20;
const paceMs = 250;

/** How many events `measureFanOut` publishes. */
export function countEvents(load: Load): number {
  return (load.rounds + 1) * (flowEvents(load) + pacedEvents);
}

function flowEvents({ messages, subscribers }: Load): number {
  return Math.ceil(messages / subscribers / eventsPerCommit) * eventsPerCommit;
}

/**
 * The same number of events to the same number of subscribers by both servers in turn, first as fast as they go, then
 * paced. All subscribers stay connected throughout. The first round warms up and does not count.
 *
 * @throws when an event was lost, came twice or in another order than it was published.
 */
export async function measureFanOut(ours: Contender, raw: Contender, crowd: Crowd, load: Load): Promise<Row[]> {
  const { subscribers, rounds } = load;
  for (const { name, destination } of [ours, raw]) await crowd.gather(name, subscribers, destination);
  const shown: Record<Contender['name'], Round[]> = { carillon: [], raw: [] };
  let sample = '';
  for (let round = 0; round <= rounds; round += 1) {
    // Who goes first changes, but for the first round: the raw peer sends what the gateway has shown there.
    for (const contender of round % 2 === 0 ? [ours, raw] : [raw, ours]) {
      const flow = await measureFlow(contender, crowd, { ...load, sample });
      const paced = await measurePaced(contender, crowd, { ...load, sample });
      if (round === 0 && contender === ours) ({ sample } = flow);
      else if (round > 0) shown[contender.name].push({ ...flow, ...paced });
    }
  }
  for (const { name } of [ours, raw]) await crowd.leave(name);
  const row = (figure: keyof Round, rest: Pick<Row, 'what' | 'unit' | 'limit'>): Row => ({
    ...rest,
    what: `${subscribers.toLocaleString('en-US')} subscribers: ${rest.what}`,
    of: 'raw',
    ours: shown.carillon.map((round) => round[figure]),
    measure: shown.raw.map((round) => round[figure]),
  });
  return [
    row('messagesPerSecond', { what: 'messages', unit: '1/s', limit: { atLeast: 0.8 } }),
    row('cpuPerMessageUs', { what: 'CPU of the server per message', unit: 'µs', limit: { atMost: 1.3 } }),
    // Here a message also bears its share of what an event costs by itself.
    row('pacedCpuPerMessageUs', { what: 'the same at 4 events a second', unit: 'µs', limit: null }),
    row('p99Ms', { what: 'p99 from publish to receive', unit: 'ms', limit: { atMost: 2 } }),
  ];
}

/** From the first event's publishing until the last subscriber has the last one. */
async function measureFlow(contender: Contender, crowd: Crowd, load: Load & { sample: string }) {
  const eventCount = flowEvents(load);
  await contender.prepare(eventCount, load.sample);
  await crowd.expect(contender.name, eventCount);
  const cpuBeforeUs = await contender.cpuUs();
  const receiving = crowd.received(contender.name);
  const begunAt = await contender.publish(eventsPerCommit);
  for (let count = eventsPerCommit; count < eventCount; count += eventsPerCommit) {
    await contender.publish(eventsPerCommit);
  }
  const receipts = await receiving;
  await check(contender, receipts);
  const messageCount = eventCount * load.subscribers;
  return {
    sample: receipts.sample,
    messagesPerSecond: (messageCount / (receipts.lastAt - begunAt)) * 1_000,
    cpuPerMessageUs: ((await contender.cpuUs()) - cpuBeforeUs) / messageCount,
  };
}

/** One event at a time; from its publishing to its receipt, however late the events before it were. */
async function measurePaced(contender: Contender, crowd: Crowd, { subscribers, sample }: Load & { sample: string }) {
  await contender.prepare(pacedEvents, sample);
  await crowd.expect(contender.name, pacedEvents);
  const cpuBeforeUs = await contender.cpuUs();
  const receiving = crowd.received(contender.name);
  const publishedAt: number[] = [];
  const begunAt = now();
  for (let event = 0; event < pacedEvents; event += 1) {
    await sleep(Math.max(0, begunAt + event * paceMs - now()));
    publishedAt.push(await contender.publish(1));
  }
  const receipts = await receiving;
  await check(contender, receipts);
  const latencies = receipts.latenciesMs(publishedAt);
  return {
    pacedCpuPerMessageUs: ((await contender.cpuUs()) - cpuBeforeUs) / (pacedEvents * subscribers),
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
  };
}

/** Whether everybody had everything once and in order, and what they had is what was published. */
async function check({ name, wasPublished }: Contender, { lostCount, strayCount, cursors }: CrowdReceipts) {
  if (lostCount > 0 || strayCount > 0 || !(await wasPublished(cursors))) {
    throw new Error(`${name}: ${lostCount} events were lost, ${strayCount} came twice or out of order.`);
  }
}
