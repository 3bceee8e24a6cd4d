import { pino } from 'pino';
import { afterEach } from 'vitest';
import type { Bus } from '../../src/stream/bus/bus.ts';
import { connectRedisBus } from '../../src/stream/bus/redis-bus.ts';
import { until } from './until.ts';

/** A Redis bus of a test, and what it has logged. */
export interface TestBus {
  bus: Bus;
  /** What it said, without the details. */
  sentences: readonly string[];
  /** All that it wrote, with the details. */
  lines: readonly string[];
}

/** What a bus says of an outage. */
export const interrupted = 'Redis carries no wake-ups; other processes are heard by polling until it does';
export const restored = 'Redis carries wake-ups again';

type Timing = Pick<Parameters<typeof connectRedisBus>[1], 'heartbeatMs' | 'answerWithinMs'>;

/** For tests of silence: a connection is asked more often, and given up sooner, than in production. */
export const impatience: Timing = { heartbeatMs: 250, answerWithinMs: 1_500 };

/** Gives the test file that calls it buses that are closed after each test. Without a namespace, one of its own. */
export function useRedisBuses(timing: Timing = {}): (url: string, namespace?: string) => Promise<TestBus> {
  const buses: Bus[] = [];

  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.close();
  });

  return async (url, namespace = crypto.randomUUID()) => {
    const lines: string[] = [];
    const sentences: string[] = [];
    const write = (line: string) => {
      lines.push(line);
      sentences.push(JSON.parse(line).msg);
    };
    const bus = await connectRedisBus(url, { namespace, log: pino({ level: 'debug' }, { write }), ...timing });
    buses.push(bus);
    return { bus, sentences, lines };
  };
}

/** How often a bus has woken its listeners, and how to wait for more. */
export interface WakeUps {
  readonly count: number;
  moreThan(count: number): Promise<void>;
}

/** Counts the wake-ups of a bus from now on. */
export function countWakeUps(bus: Bus): WakeUps {
  let count = 0;
  bus.listen(() => {
    count += 1;
  });
  return {
    get count() {
      return count;
    },
    async moreThan(before) {
      await until(async () => count > before);
    },
  };
}

/**
 * Waits until wake-ups by each of the buses have reached each other one: three of each, one after another, since one may
 * be taken for another that was under way, or for the one that follows an outage.
 */
export async function hearEachOther(buses: readonly Bus[]): Promise<void> {
  for (const to of buses) {
    const heard = countWakeUps(to);
    for (const from of buses) {
      for (let times = 0; from !== to && times < 3; times += 1) {
        const before = heard.count;
        from.wake();
        await heard.moreThan(before);
      }
    }
  }
}
