import { afterEach } from 'vitest';
import { openStorage, type Storage } from '../../src/storage/database.ts';
import type { Bus } from '../../src/stream/bus/bus.ts';
import { createInProcessBus } from '../../src/stream/bus/in-process-bus.ts';
import type { StreamItem } from '../../src/stream/hub/event-stream.ts';
import { createHub, type Hub } from '../../src/stream/hub/hub.ts';
import type { Stream } from '../../src/stream/hub/open-stream.ts';
import type { FileDatabase } from './database.ts';
import { createTestLog, toLine } from './log-events.ts';

/** A hub with connections of its own. */
export interface TestHub {
  hub: Hub;
  bus: Bus;
  storage: Storage;
  /** What it has logged. */
  sentences: string[];
  /** Statements that it has begun. */
  statementsCount(): number;
}

const hour = 3_600_000;

/** Gives the test file that calls it, once and at its top level, hubs over its database, which are closed after each test. */
export function useHubs(database: Pick<FileDatabase, 'url'>) {
  const opened: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const part of opened.splice(0).reverse()) await part.close();
  });
  return {
    /** It polls once an hour unless told otherwise: what arrives, arrives by a wake-up, or is read for itself. */
    openHub(options: Partial<Parameters<typeof createHub>[0]> = {}, connectionsMax = 10): TestHub {
      const storage = openStorage(database.url, { connectionsMax });
      const bus = createInProcessBus();
      const { log, sentences } = createTestLog();
      let statements = 0;
      storage.pool.on('acquire', () => {
        statements += 1;
      });
      const hub = createHub({ pool: storage.pool, bus, log, pollMs: hour, ...options });
      opened.push(storage, hub);
      return { hub, bus, storage, sentences, statementsCount: () => statements };
    },
  };
}

/** The next item; fails when the stream has ended. */
export async function take(stream: Stream<StreamItem>): Promise<StreamItem> {
  const { done, value } = await stream.next();
  if (done) throw new Error('The stream has ended.');
  return value;
}

/** The next `count` items: events as `listLog` writes them, positions by their state. */
export async function takeLines(stream: Stream<StreamItem>, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) {
    const item = await take(stream);
    lines.push(item.kind === 'event' ? toLine(item.entry) : item.state);
  }
  return lines;
}
