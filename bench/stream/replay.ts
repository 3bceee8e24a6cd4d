import pg from 'pg';
import { z } from 'zod';
import { insertDeliveries, insertNotification } from '../../test/support/log-events.ts';
import { type Child, startChild } from '../support/child.ts';
import type { Gateway } from '../support/gateway.ts';
import type { Row } from '../support/table.ts';

interface ReplayOptions {
  databaseUrl: string;
  gateway: Gateway;
  /** Events that are replayed. */
  eventCount: number;
  rounds: number;
}

const deliveriesPerStatement = 10_000;

/** One subscriber that asks for everything from the beginning, beside a bare cursor on the same rows, in turn. */
export async function measureReplay({ databaseUrl, gateway, eventCount, rounds }: ReplayOptions): Promise<Row[]> {
  const notificationId = await makeHistory(databaseUrl, eventCount);
  const { url, authorization } = gateway;
  await using reader = startChild(new URL('./replay-readers.ts', import.meta.url));
  const perSecond = { cursor: [] as number[], hub: [] as number[], socket: [] as number[] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const kind of ['cursor', 'hub', 'socket'] as const) {
      const question = { kind, databaseUrl, url, authorization, notificationId };
      const rate = await read(reader, question, eventCount);
      // The first round warms up.
      if (round > 0) perSecond[kind].push(rate);
    }
  }
  const rest = { unit: 'events/s', of: 'cursor', measure: perSecond.cursor, limit: { atLeast: 0.5 } };
  return [
    { ...rest, what: 'replay for one subscriber: at the hub', ours: perSecond.hub },
    { ...rest, what: 'replay for one subscriber: over WebSocket', ours: perSecond.socket },
  ];
}

async function read(reader: Child, question: object, eventCount: number): Promise<number> {
  const { count, ms } = await reader.ask(question, z.object({ count: z.int(), ms: z.number() }));
  if (count !== eventCount) throw new Error(`Of ${eventCount} events a replay had ${count}.`);
  return (count / ms) * 1_000;
}

/** A notification whose deliveries were queued, hence one event each. */
async function makeHistory(databaseUrl: string, eventCount: number): Promise<string> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const notificationId = await insertNotification(client);
  for (let made = 0; made < eventCount; made += deliveriesPerStatement) {
    await insertDeliveries(client, { notificationId, count: Math.min(deliveriesPerStatement, eventCount - made) });
  }
  await client.query('vacuum analyze delivery_events');
  await client.end();
  return notificationId;
}
