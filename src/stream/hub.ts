import type pg from 'pg';
import { isUuid } from '../ids.ts';
import type { Logger } from '../logger.ts';
import type { Bus } from './bus.ts';
import { parseCursor } from './cursor.ts';
import { type StreamItem, streamEvents } from './event-stream.ts';
import { createLatch } from './latch.ts';
import type { Topic } from './log.ts';
import { openStream, type Stream } from './open-stream.ts';
import { createPager } from './pager.ts';
import { createReader } from './reader.ts';

// What is promised: a stream yields each event of its topic exactly once, in order, from where it was asked to begin;
// broken off anywhere, it goes on with the last cursor it gave, on any gateway. What it cannot tell, it calls a GAP.
//
// How it is kept:
//
// 1. The log (log.ts). An event is written in the transaction that makes the change, at a position that is in commit
//    order. So nothing ever appears below a position that was seen, and a reader needs to remember one number.
// 2. The cursor (cursor.ts) is that number, with the log's epoch and the event's random tag. Each read checks, in the
//    snapshot in which it reads, that the place still is one: after a restore, a truncation, or when retention has
//    passed it, it is not, and that is the only case of a GAP. Nothing is kept about a stream but its place.
// 3. One reader a process (reader.ts) walks along the end of the log for everybody who is in step, one statement for
//    all their topics, and puts each event into the seats (seat.ts) of those whom it concerns. A seat is bounded.
// 4. A stream that is not in step (event-stream.ts), since it comes with a cursor or since its seat ran over, reads
//    pages for itself (pager.ts: a few at a time for the whole process). When a page reaches the end of the log it
//    takes a seat. The seam: the seat is served from where the reader then stands, or will stand after the read that
//    is under way; the stream reads on until it has come that far, and skips in the seat what it has read itself.
//    Above the seam everything comes through the seat, below it everything through the pages.
// 5. Wake-ups (bus.ts) only shorten the wait until the next poll. An outage of the database is waited out: the places
//    stay where they are.
//
// Items are made when they are asked for: a stream that is not read holds a seat's worth of references at most, and
// after that nothing but its place.

/** Streams of the delivery log for this process's subscribers. */
export interface Hub {
  /**
   * What happens to the topic's deliveries. `after` absent: from now, first a `LIVE`. Empty: from the oldest event kept,
   * then a `RECOVERED`, then live. A cursor: what followed it, then a `RECOVERED`, then live; where that is unknown, a
   * `GAP` first, and then from the oldest kept. Ends when `signal` aborts, on `return`, and when the hub closes.
   * Throws `VALUE_INVALID` for an `after` that is no cursor.
   */
  events(
    topic: Topic,
    options?: { after?: string | null | undefined; signal?: AbortSignal | undefined },
  ): Stream<StreamItem>;
  /**
   * Yields at once, and then each time that the notification may have new events; however many there were since the last
   * yield, it yields once. What is read after a yield shows every change that was announced before it.
   */
  touched(topic: { notificationId: string }, options?: { signal?: AbortSignal | undefined }): Stream<'touched'>;
  /** Ends all streams as if there were no more to come. Resolves when the database is not used any more. */
  close(): Promise<void>;
}

interface HubOptions {
  pool: pg.Pool;
  bus: Bus;
  log: Logger;
  /** How long to wait for a wake-up before looking anyway. @default 1_000 */
  pollMs?: number;
  /** Entries per read. @default 500 */
  pageSize?: number;
  /** Events that wait for one stream before it has to read for itself. @default 1_000 */
  bufferedEventsMax?: number;
  /** Pages that are read at a time by streams that are not in step. @default 4 */
  catchUpReadsMax?: number;
  /** Topics up to which the reader asks for them alone; with more it reads the whole log. @default 1_000 */
  topicsMax?: number;
}

/** A hub that nobody has subscribed to yet: it does not touch the database until somebody does. */
export function createHub(options: HubOptions): Hub {
  const {
    pool,
    bus,
    log,
    pollMs = 1_000,
    pageSize = 500,
    bufferedEventsMax = 1_000,
    catchUpReadsMax = 4,
    topicsMax = 1_000,
  } = options;
  const pager = createPager({ pool, log, pageSize, readsMax: catchUpReadsMax });
  const reader = createReader({ pool, bus, log, pollMs, pageSize, topicsMax, seatSizeMax: bufferedEventsMax });
  const streams = new Set<Stream<unknown>>();
  let isClosed = false;

  function open<Item>(
    produce: (signal: AbortSignal) => AsyncGenerator<Item, void, undefined>,
    signal: AbortSignal | undefined,
  ) {
    const stream = openStream(produce, { signal, among: streams });
    if (isClosed) stream.end();
    return stream;
  }

  return {
    events(topic, { after, signal } = {}) {
      const normal = normalTopic(topic);
      const place = after === '' ? null : typeof after === 'string' ? parseCursor(after) : undefined;
      return open((ending) => streamEvents({ reader, pager, topic: normal, after: place }, ending), signal);
    },
    touched({ notificationId }, { signal } = {}) {
      const id = normalId(notificationId);
      return open(async function* (ending) {
        const news = createLatch();
        news.open();
        ending.addEventListener('abort', news.open, { once: true });
        const stop = reader.watch(id, news.open);
        try {
          for (;;) {
            await news.passed();
            ending.throwIfAborted();
            yield 'touched' as const;
          }
        } finally {
          stop();
        }
      }, signal);
    },
    async close() {
      isClosed = true;
      for (const stream of [...streams]) stream.end();
      await reader.close();
      await pager.idle();
    },
  };
}

function normalTopic({ notificationId, userId }: Topic): Topic {
  return {
    ...(notificationId === undefined ? {} : { notificationId: normalId(notificationId) }),
    ...(userId === undefined ? {} : { userId: normalId(userId) }),
  };
}

/** PostgreSQL writes UUIDs in lower case; one that it cannot read would look like an outage that never ends. */
function normalId(id: string): string {
  if (!isUuid(id)) throw new TypeError('A topic names notifications and users by UUID.');
  return id.toLowerCase();
}
