import type { StreamItem } from '../../src/stream/hub/event-stream.ts';
import type { Render, Sink } from '../../src/stream/hub/relay.ts';
import { toLine } from './log-events.ts';

/** Makes frames that say which item they are of, and counts them. */
export interface Renderer {
  readonly render: Render;
  /** Lines of the items of which frames were made, each time that they were. */
  readonly rendered: readonly string[];
  /** Waits with frames of such items from now on. */
  hold(isMeant: (item: StreamItem) => boolean): Hold;
}

interface Hold {
  /** Resolves when some are waited with. */
  readonly reached: Promise<void>;
  /** They are made, */
  release(): void;
  /** or cannot be made. Later ones can. */
  fail(): void;
}

/** @param frameBytes how large each frame is made, if it is smaller. @default 0 */
export function createRenderer({ frameBytes = 0 } = {}): Renderer {
  const rendered: string[] = [];
  const holds = new Set<{ isMeant(item: StreamItem): boolean; reached(): void; released: Promise<void> }>();
  return {
    rendered,
    async render(items) {
      for (const hold of holds) {
        if (!items.some(hold.isMeant)) continue;
        hold.reached();
        await hold.released;
      }
      rendered.push(...items.map(lineOf));
      return items.map((item) => Buffer.from(`${item.cursor} ${lineOf(item)}`.padEnd(frameBytes)));
    },
    hold(isMeant) {
      const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const hold = { isMeant, reached: reached.resolve, released: released.promise };
      holds.add(hold);
      return {
        reached: reached.promise,
        release() {
          holds.delete(hold);
          released.resolve();
        },
        fail() {
          holds.delete(hold);
          released.reject(new Error('It cannot be rendered.'));
        },
      };
    },
  };
}

/** An event as `listLog` writes it, a position by its state. */
export function lineOf(item: StreamItem): string {
  return item.kind === 'event' ? toLine(item.entry) : item.state;
}

/** A connection of a test's own, which stands for a socket. It keeps what is written to it. */
export interface TestSink extends Sink {
  /** Lines of all frames, in order. */
  readonly lines: readonly string[];
  /** Lines of the frames of events. */
  readonly events: readonly string[];
  /** What each frame gives to come back with. */
  readonly cursors: readonly string[];
  readonly writtenBytes: number;
  /** The other side takes nothing more: what is written waits. */
  stall(): void;
  /** The other side takes what waits, and what comes. */
  resume(): void;
}

interface TestSinkOptions {
  /** What may wait before it is full. @default 0: anything that waits fills it. */
  waitingBytesMax?: number;
  /** Called within each write, after it. */
  onWritten?(): void;
}

/** A sink that takes everything, until it is stalled. */
export function createTestSink({ waitingBytesMax = 0, onWritten }: TestSinkOptions = {}): TestSink {
  const lines: string[] = [];
  const cursors: string[] = [];
  let writtenBytes = 0;
  let waitingBytes = 0;
  let isStalled = false;
  let drained = Promise.withResolvers<void>();
  return {
    lines,
    cursors,
    get events() {
      return lines.filter((line) => !/^[A-Z]+$/.test(line));
    },
    get writtenBytes() {
      return writtenBytes;
    },
    get isFull() {
      return waitingBytes > waitingBytesMax;
    },
    drained: () => (waitingBytes > waitingBytesMax ? drained.promise : Promise.resolve()),
    write(frames) {
      for (const frame of frames) {
        const [cursor = '', ...line] = String(frame).trimEnd().split(' ');
        cursors.push(cursor);
        lines.push(line.join(' '));
        writtenBytes += frame.byteLength;
        if (isStalled) waitingBytes += frame.byteLength;
      }
      onWritten?.();
    },
    stall() {
      isStalled = true;
    },
    resume() {
      isStalled = false;
      waitingBytes = 0;
      drained.resolve();
      drained = Promise.withResolvers();
    },
  };
}
