import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Cursor } from '../log/cursor.ts';
import { isThrough, type StreamItem } from './event-stream.ts';
import type { Stream } from './open-stream.ts';
import type { EventItem } from './seat.ts';

/** Where frames go: one subscriber's connection. */
export interface Sink {
  /** Takes frames in order, whatever waits already. */
  write(frames: readonly Buffer[]): void;
  /** Whether so much waits to be taken by the other side that no more should be written now. */
  readonly isFull: boolean;
  /** Resolves when it is not full, and when it is closed. */
  drained(): Promise<void>;
}

/** Makes the frames of items: one each, in order, the same for everybody for whom it is used. */
export type Render = (items: readonly StreamItem[]) => Promise<readonly Buffer[]>;

/** Items that are rendered together, and so share what their fields load. @default 100 */
export const itemsPerRender = 100;

/** Frames that are written to one sink before the next one's turn, in bytes; one frame may be larger. @default 32_768 // 32 KiB */
const turnBytesMax = 32 * 1024;

/** How long most may keep the others waiting. @default 250 // milliseconds */
const patienceMs = 250;

/** The rendered frames of items, a turn's worth at a time, with the items that they are of. */
export async function* renderTurns<Item extends StreamItem>(
  items: readonly Item[],
  render: Render,
): AsyncGenerator<{ items: readonly Item[]; frames: readonly Buffer[] }, void, undefined> {
  for (let start = 0; start < items.length; start += itemsPerRender) {
    const slice = items.slice(start, start + itemsPerRender);
    const frames = await render(slice);
    for (let from = 0; from < slice.length; ) {
      let to = from;
      for (let bytes = 0; to < slice.length && (to === from || bytes + sizeOf(frames[to]) <= turnBytesMax); to += 1) {
        bytes += sizeOf(frames[to]);
      }
      yield { items: slice.slice(from, to), frames: frames.slice(from, to) };
      from = to;
    }
  }
}

const sizeOf = (frame: Buffer | undefined) => frame?.byteLength ?? 0;

/** How many of the events, which are in order, lie up to `cursor`. */
function countThrough(events: readonly EventItem[], cursor: Cursor): number {
  const index = events.findIndex(({ entry }) => entry.position > cursor.position);
  return index === -1 ? events.length : index;
}

/** Someone who is in step and would get the same frames as all others in a relay. */
export interface Passenger {
  readonly sink: Sink;
  /** Whether nothing may be written to it now, since its rights are being looked at. */
  readonly isShut: () => boolean;
  readonly signal: AbortSignal;
}

/**
 * Follows one stream for many: each event is rendered once, and its frame written to all. It waits for nobody for long:
 * whoever cannot keep up gets off, and goes on by itself from where it is.
 */
export interface Relay {
  /**
   * Takes a passenger who has everything up to `position` along. Resolves with where it is when it has to go on by
   * itself. Undefined when the relay is ahead of it, or over.
   */
  board(position: Cursor, passenger: Passenger): Promise<Cursor> | undefined;
}

interface Member extends Passenger {
  /** Through where it had everything when it boarded. */
  readonly boardedAt: Cursor;
  getOff(): void;
}

interface RelayOptions {
  /** What it follows, from `at` on. */
  stream: Stream<StreamItem>;
  at: Cursor;
  render: Render;
  /** Called when it takes nobody any more. */
  onOver(): void;
}

/** A relay without passengers. It ends when the last one has got off, and when its stream does or tells a gap. */
export function createRelay({ stream, at, render, onOver }: RelayOptions): Relay {
  const members = new Set<Member>();
  /** All events up to here are written to everybody who is on board. */
  let position = at;
  let isOver = false;

  function close() {
    if (isOver) return;
    isOver = true;
    onOver();
    stream.end();
    for (const member of [...members]) member.getOff();
  }

  async function run() {
    try {
      for (;;) {
        const batch = await stream.nextBatch();
        if (!batch || batch.some((item) => item.kind === 'position' && item.state === 'GAP')) return;
        const events = batch.filter((item) => item.kind === 'event');
        // Who gets off before the first of them is written goes on from there: the last event that it was told may be
        // older than anything that the log still has.
        const readFrom = events[0]?.readFrom;
        if (readFrom && isThrough(readFrom, position)) position = readFrom;
        for await (const turn of renderTurns(events, render)) {
          if (isOver) return;
          await letDrain(writeToAll(turn.items, turn.frames));
        }
      }
    } finally {
      close();
    }
  }

  /** Returns those who have got more than they can take. */
  function writeToAll(events: readonly EventItem[], frames: readonly Buffer[]): Member[] {
    const [first, last] = [events[0], events.at(-1)];
    if (!first || !last) return [];
    const full: Member[] = [];
    for (const member of members) {
      if (member.isShut()) {
        member.getOff();
        continue;
      }
      const isBehindAll = member.boardedAt.position < first.entry.position;
      const missing = isBehindAll ? frames : frames.slice(countThrough(events, member.boardedAt));
      if (missing.length > 0) member.sink.write(missing);
      if (member.sink.isFull) full.push(member);
    }
    position = { epoch: position.epoch, position: last.entry.position, tag: last.entry.tag };
    return full;
  }

  async function letDrain(full: readonly Member[]) {
    if (full.length * 2 > members.size) {
      const patience = new AbortController();
      const allDrained = Promise.all(full.map(({ sink }) => sink.drained()));
      await Promise.race([
        allDrained,
        sleep(patienceMs, undefined, { signal: patience.signal }).catch(() => undefined),
      ]);
      patience.abort();
    }
    for (const member of full) if (member.sink.isFull) member.getOff();
    // Others may want to do something between two turns.
    await nextTurn();
  }

  /** Where a member is: it boarded ahead of the relay, or has come along with it since. */
  const placeOf = ({ boardedAt }: Member) => (isThrough(boardedAt, position) ? boardedAt : position);

  // What cannot be rendered here, each one cannot render for itself either, and tells its reader.
  run().catch(close);
  return {
    board(boardedAt, passenger) {
      if (isOver || !isThrough(boardedAt, position)) return undefined;
      const { promise, resolve } = Promise.withResolvers<Cursor>();
      const member: Member = {
        ...passenger,
        boardedAt,
        getOff() {
          members.delete(member);
          passenger.signal.removeEventListener('abort', member.getOff);
          resolve(placeOf(member));
          if (members.size === 0) close();
        },
      };
      members.add(member);
      passenger.signal.addEventListener('abort', member.getOff, { once: true });
      return promise;
    },
  };
}
