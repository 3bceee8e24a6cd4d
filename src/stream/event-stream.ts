import { type Cursor, encodeCursor } from './cursor.ts';
import { createLatch } from './latch.ts';
import type { LogGap, LogPage, Topic } from './log.ts';
import type { Pager } from './pager.ts';
import type { Reader } from './reader.ts';
import { type EventItem, type Seat, toEventItem } from './seat.ts';

/** A stream says where it stands. */
export interface PositionItem {
  readonly kind: 'position';
  /**
   * - `LIVE`: it was asked to begin now, and has.
   * - `RECOVERED`: all that was missed has been told.
   * - `GAP`: what was missed is not in the log any more, or the log is another one; it goes on from the oldest event kept.
   *
   * Whoever has had `LIVE` or `RECOVERED` misses nothing from there on, also when coming back with that cursor.
   */
  readonly state: 'LIVE' | 'RECOVERED' | 'GAP';
  readonly cursor: string;
}

export type StreamItem = EventItem | PositionItem;

interface EventStreamOptions {
  reader: Reader;
  pager: Pager;
  topic: Topic;
  /** Undefined: from now. Null: from the oldest kept. */
  after: Cursor | null | undefined;
}

/** The items of one stream. Throws only when `signal` aborts. */
export async function* streamEvents(
  options: EventStreamOptions,
  signal: AbortSignal,
): AsyncGenerator<StreamItem, void, undefined> {
  const { reader, pager, topic, after } = options;
  const news = createLatch();
  signal.addEventListener('abort', news.open, { once: true });
  let seat: Seat | undefined;
  try {
    let due: PositionItem['state'] | undefined = after === undefined ? 'LIVE' : 'RECOVERED';
    let page = after === undefined ? emptyPage(await pager.head(signal)) : await pager.page(topic, after, signal);
    for (;;) {
      let position: Cursor;
      if (page.kind === 'gap') {
        position = page.oldest;
        due = 'RECOVERED';
        if (seat) reader.leave(seat);
        seat = undefined;
        yield toPositionItem('GAP', position);
      } else {
        position = page.completeThrough;
        // Before anything is yielded, while what was just read is fresh: the stream may take its time with it.
        if (seat?.isLost) seat = undefined;
        if (!page.hasMore) seat ??= reader.join({ topic, at: position, news });
        for (const entry of page.entries) yield toEventItem(position.epoch, entry);
        if (due && !page.hasMore) {
          yield toPositionItem(due, position);
          due = undefined;
        }
        if (seat) position = yield* followSeat(seat, position, signal);
      }
      const servedFrom = seat?.servedFrom;
      page = await pager.page(topic, position, signal);
      // The log's end, read after the reader was there, lies before it: the reader's place is of another log.
      if (servedFrom && page.kind === 'page' && !page.hasMore && !isThrough(page.completeThrough, servedFrom))
        reader.dismiss();
    }
  } finally {
    if (seat) reader.leave(seat);
  }
}

/**
 * Yields what is put into the seat, as long as the stream is in step: it has read through the place from which the seat
 * is served. Returns where the stream is when it has to read for itself.
 */
async function* followSeat(
  seat: Seat,
  from: Cursor,
  signal: AbortSignal,
): AsyncGenerator<EventItem, Cursor, undefined> {
  let position = from;
  while (!seat.servedFrom && !seat.isLost) {
    await seat.news.passed();
    signal.throwIfAborted();
  }
  if (!seat.servedFrom || !isThrough(position, seat.servedFrom)) return position;
  for (;;) {
    const event = seat.take();
    if (event) {
      const { entry } = event;
      // The stream has read it for itself.
      if (entry.position <= position.position) continue;
      position = { epoch: position.epoch, position: entry.position, tag: entry.tag };
      yield event;
    } else if (seat.isLost) {
      return seat.resumeAt && isThrough(seat.resumeAt, position) ? seat.resumeAt : position;
    } else {
      await seat.news.passed();
      signal.throwIfAborted();
    }
  }
}

/** Whether `cursor` has all that lies up to `other`. */
function isThrough(cursor: Cursor, other: Cursor): boolean {
  return cursor.epoch === other.epoch && cursor.position >= other.position;
}

function emptyPage(completeThrough: Cursor): LogPage | LogGap {
  return { kind: 'page', entries: [], completeThrough, hasMore: false };
}

function toPositionItem(state: PositionItem['state'], cursor: Cursor): PositionItem {
  return { kind: 'position', state, cursor: encodeCursor(cursor) };
}
