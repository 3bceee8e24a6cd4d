import type pg from 'pg';
import { isUuid } from '../../ids.ts';
import type { Logger } from '../../logger.ts';
import type { Bus } from '../bus/bus.ts';
import { createLatch } from '../latch.ts';
import { type Cursor, parseCursor } from '../log/cursor.ts';
import type { Topic } from '../log/log-query.ts';
import { createOutage } from '../outage.ts';
import { untilAborted } from '../until-aborted.ts';
import { type StreamItem, streamEvents } from './event-stream.ts';
import type { Access } from './gate.ts';
import { openStream, type Produce, type Stream } from './open-stream.ts';
import { createPager } from './pager.ts';
import { createReader } from './reader.ts';
import { createRelay, type Passenger, type Relay, type Render, renderTurns, type Sink } from './relay.ts';

// What is promised here, and how it is kept, is told in README.md.

/** What is asked of the hub besides the topic. */
interface ReadOptions {
  /** Ends the stream when it aborts. */
  signal?: AbortSignal | undefined;
  /** By what right it is read: asked anew whenever that may have ended. Absent: the caller sees to it. */
  access?: Access | undefined;
}

/** Where a stream's items go when they are not pulled one by one. */
export interface Outlet {
  readonly sink: Sink;
  readonly render: Render;
  /** Names all outlets whose frames are the same for the same events of the same topic. Null: there are no others. */
  readonly sharedAs: string | null;
}

/** A stream of the delivery log. */
export interface EventStream extends Stream<StreamItem> {
  /**
   * Writes every item to the outlet, until the stream ends; nobody may pull then. As long as the stream is in step it
   * shares rendering with all that are in step under the same name. Rejects with why the reader may not read on.
   */
  forward(outlet: Outlet): Promise<undefined>;
}

/** Streams of the delivery log for this process's subscribers. */
export interface Hub {
  /**
   * What happens to the topic's deliveries. `after` absent: from now, first a `LIVE`. Empty: from the oldest event kept,
   * then a `RECOVERED`, then live. A cursor: what followed it, then a `RECOVERED`, then live; where that is unknown, a
   * `GAP` first, and then from the oldest kept. Ends when `signal` aborts, on `return`, and when the hub closes.
   * Throws `VALUE_INVALID` for an `after` that is no cursor.
   */
  events(topic: Topic, options?: ReadOptions & { after?: string | null | undefined }): EventStream;
  /**
   * Yields at once, and then each time that the notification may have new events; however many there were since the last
   * yield, it yields once. What is read after a yield shows every change that was announced before it.
   */
  touched(topic: { notificationId: string }, options?: ReadOptions): Stream<'touched'>;
  /** A stream of somebody else's making, which ends with the hub and, by `access`, with its reader's rights. */
  open<Item>(
    produce: (signal: AbortSignal) => AsyncGenerator<readonly Item[], void, undefined>,
    options?: ReadOptions,
  ): Stream<Item>;
  /** Up to which position of the log all has been handed over to streams in step; null while there are none. */
  place(): bigint | null;
  /** Ends all streams as if there were no more to come. Resolves when the database is not used any more. */
  close(): Promise<void>;
}

interface HubOptions {
  pool: pg.Pool;
  bus: Bus;
  log: Logger;
  /** How long to wait for a wake-up before looking anyway. @default 500 // milliseconds */
  pollMs?: number;
  /** Entries per read. @default 1_000 */
  pageSize?: number;
  /** Events that wait for one stream before it has to read for itself. @default 2_000 */
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
    pollMs = 500,
    pageSize = 1_000,
    bufferedEventsMax = 2_000,
    catchUpReadsMax = 4,
    topicsMax = 1_000,
  } = options;
  const pager = createPager({ pool, log, pageSize, readsMax: catchUpReadsMax });
  const reader = createReader({ pool, bus, log, pollMs, pageSize, topicsMax, seatSizeMax: bufferedEventsMax });
  const outage = createOutage(log, {
    began: 'Whether streams may go on cannot be found out; they wait',
    ended: 'Streams go on',
  });
  const streams = new Set<Stream<unknown>>();
  const relays = new Map<string, Relay>();
  let isClosed = false;

  function open<Item>(produce: Produce<Item>, { signal, access }: ReadOptions) {
    const stream = openStream(produce, { signal, access, outage, guard: reader.guard, among: streams });
    if (isClosed) stream.end();
    return stream;
  }

  function openEvents(topic: Topic, after: Cursor | null | undefined, read: ReadOptions): EventStream {
    let outlet: Outlet | undefined;
    const stream = open<StreamItem>((ending, gate) => {
      const guarded = read.access ? gate : { ...gate, ...reader.guardAll() };
      const carry = (position: Cursor) =>
        outlet && board(topic, position, outlet, { sink: outlet.sink, isShut: () => gate.isShut, signal: ending });
      return streamEvents({ reader, pager, topic, after, gate: guarded, carry }, ending);
    }, read);
    return Object.assign(stream, {
      async forward(to: Outlet): Promise<undefined> {
        outlet = to;
        let items = await stream.nextBatch();
        while (items) {
          try {
            await writeItems(stream, items, to);
          } catch (error) {
            // Ended in the middle of a batch: the next one tells why.
            if (!stream.ending.aborted) throw error;
          }
          // Not kept while the next is awaited, which may take days.
          items = undefined;
          items = await stream.nextBatch();
        }
      },
    });
  }

  /** Gets a stream on the relay that its outlet shares with others, which is made if there is none. */
  function board(topic: Topic, position: Cursor, { sharedAs, render }: Outlet, passenger: Passenger) {
    if (sharedAs === null) return undefined;
    const key = JSON.stringify([topic.notificationId, topic.userId, sharedAs]);
    let relay = relays.get(key);
    if (!relay) {
      const stream = openEvents(topic, position, {});
      relay = createRelay({ stream, at: position, render, onOver: () => relays.delete(key) });
      relays.set(key, relay);
    }
    return relay.board(position, passenger);
  }

  return {
    events(topic, { after, ...read } = {}) {
      const place = after === '' ? null : typeof after === 'string' ? parseCursor(after) : undefined;
      return openEvents(normalTopic(topic), place, read);
    },
    touched({ notificationId }, read = {}) {
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
            yield ['touched'] as const;
          }
        } finally {
          stop();
        }
      }, read);
    },
    open(produce, read = {}) {
      return open((ending, gate) => {
        gate.shut();
        return produce(ending);
      }, read);
    },
    place: reader.place,
    async close() {
      isClosed = true;
      for (const stream of [...streams]) stream.end();
      await reader.close();
      await pager.idle();
    },
  };
}

/** Writes items no faster than they are taken, and nothing that the stream's reader may not have any more. */
async function writeItems(stream: Stream<StreamItem>, items: readonly StreamItem[], { sink, render }: Outlet) {
  for await (const { frames } of renderTurns(items, render)) {
    if (!(await stream.mayGoOn())) return;
    sink.write(frames);
    if (sink.isFull) await untilAborted(sink.drained(), stream.ending);
  }
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
