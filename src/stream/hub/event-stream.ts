import { createLatch } from '../latch.ts';
import { type Cursor, encodeCursor } from '../log/cursor.ts';
import type { LogGap, LogPage } from '../log/log.ts';
import type { Topic } from '../log/log-query.ts';
import type { Gate } from './gate.ts';
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
  gate: Gate;
  /**
   * Asked when the stream is in step at `position` and has nothing to yield: whether somebody else takes it from there.
   * Resolves with where the stream then is, when it has to go on by itself.
   */
  carry?(position: Cursor): Promise<Cursor> | undefined;
}

/** The items of one stream, all at once that are there. Throws only when `signal` aborts. */
export async function* streamEvents(
  options: EventStreamOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly StreamItem[], void, undefined> {
  const { reader, pager, topic, after, gate } = options;
  const news = createLatch();
  signal.addEventListener('abort', news.open, { once: true });
  let due: PositionItem['state'] | undefined = after === undefined ? 'LIVE' : 'RECOVERED';
  let seat: Seat | undefined;
  try {
    let position = yield* tell(await readPage(after));
    for (;;) {
      if (seat) position = yield* followSeat(seat, position);
      position = yield* tell(await readOn(position));
    }
  } finally {
    if (seat) reader.leave(seat);
  }

  /** Yields what a page holds, and takes a seat at the log's end. Returns where the stream is then. */
  async function* tell(page: LogPage | LogGap): AsyncGenerator<readonly StreamItem[], Cursor, undefined> {
    gate.heed(page);
    if (page.kind === 'gap') {
      // A log that was replaced may know the reader otherwise.
      gate.shut();
      due = 'RECOVERED';
      if (seat) reader.leave(seat);
      seat = undefined;
      yield [toPositionItem('GAP', page.oldest)];
      return page.oldest;
    }
    const position = page.completeThrough;
    // Before anything is yielded, while what was just read is fresh: the stream may take its time with it.
    if (seat?.isLost) seat = undefined;
    if (!page.hasMore) seat ??= reader.join({ topic, at: position, news });
    const items: StreamItem[] = page.entries.map((entry) => toEventItem(position.epoch, entry, null));
    if (due && !page.hasMore) {
      items.push(toPositionItem(due, position));
      due = undefined;
    }
    if (items.length > 0) yield items;
    return position;
  }

  async function readOn(position: Cursor): Promise<LogPage | LogGap> {
    const servedFrom = seat?.servedFrom;
    const page = await readPage(position);
    // The log's end, read after the reader was there, lies before it: the reader's place is of another log.
    if (servedFrom && page.kind === 'page' && !page.hasMore && !isThrough(page.completeThrough, servedFrom))
      reader.dismiss();
    return page;
  }

  async function readPage(from: Cursor | null | undefined): Promise<LogPage | LogGap> {
    if (from !== undefined) return pager.page(topic, { after: from, access: gate.question() }, signal);
    const head = await pager.head(signal);
    return { ...head, kind: 'page', entries: [], completeThrough: head, hasMore: false };
  }

  /**
   * Yields what is put into the seat, as long as the stream is in step: it has read through the place from which the seat
   * is served. Returns where the stream is when it has to read for itself.
   */
  async function* followSeat(at: Seat, from: Cursor): AsyncGenerator<readonly EventItem[], Cursor, undefined> {
    let position = from;
    while (!at.servedFrom && !at.isLost) await nextNews();
    if (!at.servedFrom || !isThrough(position, at.servedFrom)) return position;
    for (;;) {
      const events = behind(position, at.take());
      const last = events.at(-1);
      if (last) {
        position = { epoch: position.epoch, position: last.entry.position, tag: last.entry.tag };
        yield events;
      } else if (at.isLost) {
        return at.resumeAt && isThrough(at.resumeAt, position) ? at.resumeAt : position;
      } else {
        const carried = options.carry?.(position);
        if (carried) {
          reader.leave(at);
          seat = undefined;
          const place = await carried;
          signal.throwIfAborted();
          return place;
        }
        await nextNews();
      }
    }
  }

  async function nextNews() {
    await news.passed();
    signal.throwIfAborted();
  }
}

/** Without what the stream has read for itself. */
function behind(position: Cursor, events: readonly EventItem[]): readonly EventItem[] {
  const [first] = events;
  if (!first || first.entry.position > position.position) return events;
  return events.filter(({ entry }) => entry.position > position.position);
}

/** Whether `cursor` has all that lies up to `other`. */
export function isThrough(cursor: Cursor, other: Cursor): boolean {
  return cursor.epoch === other.epoch && cursor.position >= other.position;
}

function toPositionItem(state: PositionItem['state'], cursor: Cursor): PositionItem {
  return { kind: 'position', state, cursor: encodeCursor(cursor) };
}
