import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from '../../logger.ts';
import type { Cursor } from '../log/cursor.ts';
import { type LogGap, type LogHead, type LogPage, readLogHead, readLogPage } from '../log/log.ts';
import type { AccessQuestion, Topic } from '../log/log-query.ts';
import { createOutage } from '../outage.ts';
import { untilAborted } from '../until-aborted.ts';

/**
 * Reads on behalf of single streams: a bounded number at a time, so that a thousand that come back at once leave
 * connections to others, and again and again while the database is away. Rejects only when `signal` aborts.
 */
export interface Pager {
  head(signal: AbortSignal): Promise<LogHead>;
  page(topic: Topic, from: PageStart, signal: AbortSignal): Promise<LogPage | LogGap>;
  /** Resolves when nothing is being read any more. */
  idle(): Promise<void>;
}

interface PageStart {
  /** Null: the oldest entry kept. */
  after: Cursor | null;
  access?: AccessQuestion | undefined;
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
  let freeCount = readsMax;

  /** Resolves when the caller has one of the places, which it gives back by `leave`. */
  async function enter(signal: AbortSignal) {
    if (freeCount > 0) {
      freeCount -= 1;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.add(resolve);
    try {
      await untilAborted(promise, signal);
    } catch (error) {
      // Called at the moment at which it went: the place is another's.
      if (!waiting.delete(resolve)) leave();
      throw error;
    }
  }

  /** Hands the place on to who has waited longest. */
  function leave() {
    const [next] = waiting;
    if (!next) {
      freeCount += 1;
      return;
    }
    waiting.delete(next);
    next();
  }

  /** One attempt, which holds its place to its end, also when nobody waits for it any more. */
  async function once<Result>(read: () => Promise<Result>): Promise<{ result?: Result; delayMs: number }> {
    const reading = read();
    underWay.add(reading);
    try {
      const result = await reading;
      outage.over();
      return { result, delayMs: 0 };
    } catch (error) {
      return { delayMs: outage.failed(error) };
    } finally {
      underWay.delete(reading);
      leave();
    }
  }

  async function untilRead<Result>(read: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (;;) {
      await enter(signal);
      const { result, delayMs } = await untilAborted(once(read), signal);
      if (result !== undefined) return result;
      await sleep(delayMs, undefined, { signal });
    }
  }

  return {
    head: (signal) => untilRead(() => readLogHead(pool), signal),
    page: (topic, from, signal) => untilRead(() => readLogPage(pool, topic, { ...from, limit: pageSize }), signal),
    async idle() {
      await Promise.allSettled([...underWay]);
    },
  };
}
