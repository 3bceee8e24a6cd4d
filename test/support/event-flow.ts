import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Bus } from '../../src/stream/bus/bus.ts';
import { createHub } from '../../src/stream/hub/hub.ts';
import { createTestLog, insertDeliveries, setStatus, toLine } from './log-events.ts';
import { until } from './until.ts';

/** A gateway's streams of one notification, which keep all that they were told. */
export interface TestGateway {
  /** What each subscriber was told: events as `listLog` writes them, and a GAP, if ever one was told. */
  readonly told: readonly (readonly string[])[];
  close(): Promise<void>;
}

interface TestGatewayOptions {
  pool: Pool;
  bus: Bus;
  notificationId: string;
  /** @default an hour: what arrives, arrives by a wake-up. */
  pollMs?: number;
}

/** Opens three live streams in one hub, and resolves when they are live. */
export async function openTestGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const { pool, bus, notificationId, pollMs = 3_600_000 } = options;
  const hub = createHub({ pool, bus, log: createTestLog().log, pollMs });
  const streams = [0, 1, 2].map(() => hub.events({ notificationId }));
  for (const stream of streams) await stream.next();
  const told = streams.map((): string[] => []);
  const readings = streams.map(async (stream, index) => {
    for await (const item of stream) told[index]?.push(item.kind === 'event' ? toLine(item.entry) : item.state);
  });
  return {
    told,
    async close() {
      await hub.close();
      await Promise.all(readings);
    },
  };
}

/** Waits until each of the gateway's subscribers was told `count` events. */
export async function hasTold({ told }: TestGateway, count: number): Promise<void> {
  await until(async () => told.every((lines) => lines.length >= count));
}

/** Events that a worker makes, one transaction after another, each followed by a wake-up. */
export interface EventFlow {
  /** Resolves when the last of them is in the log. */
  stop(): Promise<void>;
}

/** Lets deliveries of the notification be queued, sent and delivered until it is stopped. */
export function startEventFlow(pool: Pool, bus: Bus, notificationId: string): EventFlow {
  let isStopped = false;

  async function flow() {
    while (!isStopped) {
      const ids = await insertDeliveries(pool, { notificationId, count: 2 });
      bus.wake();
      for (const status of ['SENT', 'DELIVERED'] as const) {
        await pause(5);
        await setStatus(pool, ids, status);
        bus.wake();
      }
    }
  }

  const flowing = flow();
  return {
    async stop() {
      isStopped = true;
      await flowing;
    },
  };
}
