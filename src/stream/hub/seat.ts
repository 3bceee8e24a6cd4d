import type { Latch } from '../latch.ts';
import { type Cursor, encodeCursor } from '../log/cursor.ts';
import type { LogEntry } from '../log/log.ts';
import type { Topic } from '../log/log-query.ts';

/** An event as a stream yields it. One object for all streams that yield it. */
export interface EventItem {
  readonly kind: 'event';
  /** Where a stream goes on that had this event last. */
  readonly cursor: string;
  readonly entry: LogEntry;
  /**
   * Where the reader stood that read it: of its topic there is nothing between but what was read with it. Null: a stream
   * has read it for itself.
   */
  readonly readFrom: Cursor | null;
}

/** The stream item of an entry. */
export function toEventItem(epoch: string, entry: LogEntry, readFrom: Cursor | null): EventItem {
  return { kind: 'event', cursor: encodeCursor({ epoch, position: entry.position, tag: entry.tag }), entry, readFrom };
}

/** A stream that asks for a seat: what it is about, through where it has read, and what to open when there is news. */
export interface Guest {
  readonly topic: Topic;
  readonly at: Cursor;
  readonly news: Latch;
}

/**
 * A stream's place at the reader's table: what the reader has handed over and the stream has not yet taken. It is
 * bounded; a stream that lets it fill up loses the seat, and what was in it, and reads for itself from where it is.
 */
export class Seat {
  readonly topic: Topic;
  /** Where the stream stood when it asked for the seat. */
  readonly takenAt: Cursor;
  /** Every event of the topic behind this is handed over. Undefined while a read is under way that began without it. */
  servedFrom: Cursor | undefined;
  /** Opens when there is something to look at: an event, `servedFrom`, the loss of the seat. */
  readonly news: Latch;
  readonly #sizeMax: number;
  #events: EventItem[] = [];
  #isLost = false;
  #resumeAt: Cursor | null = null;

  constructor({ topic, at, news }: Guest, sizeMax: number) {
    this.topic = topic;
    this.takenAt = at;
    this.news = news;
    this.#sizeMax = sizeMax;
  }

  /** Whether the reader serves it no more. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /**
   * Where the reader stood before it put in the oldest event that was still there: the stream has all up to there, though
   * the last event that it yielded may be older than anything that the log still has.
   */
  get resumeAt(): Cursor | null {
    return this.#resumeAt;
  }

  /** Starts to be served. */
  serve(from: Cursor): void {
    this.servedFrom = from;
    this.news.open();
  }

  /** Hands over an event. False, and the seat is lost, when it is full. */
  offer(event: EventItem): boolean {
    if (this.#events.length === 0) this.#resumeAt = event.readFrom;
    if (this.#events.length >= this.#sizeMax) {
      this.lose();
      return false;
    }
    this.#events.push(event);
    this.news.open();
    return true;
  }

  /** All that was not taken yet, oldest first. */
  take(): readonly EventItem[] {
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  /** Takes the seat away, and what is in it. */
  lose(): void {
    this.#isLost = true;
    this.#events = [];
    this.news.open();
  }
}
