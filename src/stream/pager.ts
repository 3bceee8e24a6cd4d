import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from '../logger.ts';
import type { Cursor } from './cursor.ts';
import { type LogGap, type LogHead, type LogPage, readLogHead, readLogPage, type Topic } from './log.ts';
import { untilAborted } from './open-stream.ts';
import { createOutage } from './outage.ts';

/**
 * Reads on behalf of single streams: a bounded number at a time, so that a thousand that come back at once leave
 * connections to others, and again and again while the database is away. Rejects only when `signal` aborts.
 */
export interface Pager {
  head(signal: AbortSignal): Promise<LogHead>;
  page(topic: Topic, after: Cursor | null, signal: AbortSignal): Promise<LogPage | LogGap>;
  /** Resolves when nothing is being read any more. */
  idle(): Promise<void>;
}

interface PagerOptions {
  pool: pg.Pool;
  log: Logger;
  pageSize: number;
  /** Reads under way at a time. */
  readsMax: number;
}

export function createPager({ pool, log, pageSize, readsMax }: PagerOptions): Pager {
  const outage = createOutage(log, {
    began: 'The delivery log cannot be read; streams that catch up wait',
    ended: 'The delivery log can be read again',
  });
  const underWay = new Set<Promise<unknown>>();
  const waiting = new Set<() => void>();

  /** Resolves when it is the caller's turn. Whoever stops waiting leaves the queue. */
  async function turn(signal: AbortSignal) {
    while (underWay.size >= readsMax) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      try {
        await untilAborted(promise, signal);
      } catch (error) {
        // Called, but gone: the next in the queue takes the place.
        if (!waiting.delete(resolve)) callNext();
        throw error;
      }
    }
  }

  function callNext() {
    const [next] = waiting;
    if (!next) return;
    waiting.delete(next);
    next();
  }

  async function once<Result>(read: () => Promise<Result>): Promise<Result> {
    const reading = read();
    underWay.add(reading);
    try {
      return await reading;
    } finally {
      underWay.delete(reading);
      callNext();
    }
  }

  async function untilRead<Result>(read: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (;;) {
      await turn(signal);
      const attempt = once(read).then(
        (result) => ({ result, delayMs: 0 }),
        (error: unknown) => ({ result: undefined, delayMs: outage.failed(error) }),
      );
      const { result, delayMs } = await untilAborted(attempt, signal);
      if (result !== undefined) {
        outage.over();
        return result;
      }
      await sleep(delayMs, undefined, { signal });
    }
  }

  return {
    head: (signal) => untilRead(() => readLogHead(pool), signal),
    page: (topic, after, signal) => untilRead(() => readLogPage(pool, topic, { after, limit: pageSize }), signal),
    async idle() {
      await Promise.allSettled([...underWay]);
    },
  };
}
