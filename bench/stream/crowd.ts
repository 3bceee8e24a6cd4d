import { z } from 'zod';
import { startChild } from '../support/child.ts';
import type { Receipts, Subscription } from './audience.ts';

/** What came to a crowd: as `Receipts`, of all its processes. */
export interface CrowdReceipts extends Omit<Receipts, 'receivedAt'> {
  /** When the last of it came. See clock.ts. */
  lastAt: number;
  /** From when each event was published, in milliseconds, in ascending order: one for each that came to a subscriber. */
  latenciesMs(publishedAt: readonly number[]): Float64Array;
}

/** Where a crowd goes. */
export interface Destination {
  url: string;
  /** Null: whatever comes is for everybody. */
  subscription: Subscription | null;
}

/** Subscribers, spread over processes. */
export interface Crowd extends AsyncDisposable {
  /** Puts `size` subscribers at each server that is given a name. */
  gather(at: string, size: number, destination: Destination): Promise<void>;
  expect(at: string, eventCount: number): Promise<void>;
  received(at: string): Promise<CrowdReceipts>;
  leave(at: string): Promise<void>;
}

const receiptsSchema = z.object({
  receivedAt: z.instanceof(Float64Array),
  cursors: z.array(z.string()),
  lostCount: z.int(),
  strayCount: z.int(),
  sample: z.string(),
});

const done = z.object({});

/** Starts the processes, with nobody in them. */
export function startCrowd(processCount: number): Crowd {
  const processes = Array.from({ length: processCount }, () =>
    startChild(new URL('./subscribers.ts', import.meta.url)),
  );
  const askAll = <Answer>(question: object, answer: z.ZodType<Answer>) =>
    Promise.all(processes.map((child) => child.ask(question, answer)));
  return {
    async gather(at, size, destination) {
      const upTo = (index: number) => Math.floor((size * index) / processCount);
      await Promise.all(
        processes.map((child, index) =>
          child.ask({ kind: 'gather', at, size: upTo(index + 1) - upTo(index), ...destination }, done),
        ),
      );
    },
    async expect(at, eventCount) {
      await askAll({ kind: 'expect', at, eventCount }, done);
    },
    received: async (at) => merge(await askAll({ kind: 'received', at }, receiptsSchema)),
    async leave(at) {
      await askAll({ kind: 'leave', at }, done);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(processes.map((child) => child[Symbol.asyncDispose]()));
    },
  };
}

function merge(parts: readonly Receipts[]): CrowdReceipts {
  const [first] = parts;
  if (!first) throw new Error('A crowd has a process at least.');
  const sum = (count: (part: Receipts) => number) => parts.reduce((total, part) => total + count(part), 0);
  const disagreeing = parts.filter(({ cursors }) => cursors.join() !== first.cursors.join());
  return {
    cursors: first.cursors,
    sample: first.sample,
    lostCount: sum(({ lostCount }) => lostCount),
    strayCount: sum(({ strayCount }) => strayCount) + disagreeing.length,
    lastAt: parts.reduce((last, { receivedAt }) => receivedAt.reduce((a, b) => Math.max(a, b), last), 0),
    latenciesMs(publishedAt) {
      const latencies = parts.flatMap(({ receivedAt }) => {
        const size = receivedAt.length / publishedAt.length;
        return [...receivedAt.map((at, index) => (at === 0 ? 0 : at - (publishedAt[Math.floor(index / size)] ?? 0)))];
      });
      return Float64Array.from(latencies.filter((latency) => latency > 0)).sort();
    },
  };
}
