import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type RawData, WebSocket } from 'ws';
import { now } from './clock.ts';

/** What came to an audience since it was told what to expect. */
export interface Receipts {
  /** When subscriber `s` of `size` had event `e`, at `e * size + s`; 0: never. See clock.ts. */
  receivedAt: Float64Array;
  /** The events' cursors, in the order in which they came. */
  cursors: string[];
  /** Events that did not come. */
  lostCount: number;
  /** What came in another order than to the subscriber who had it first, twice, or when nothing was expected. */
  strayCount: number;
  /** A whole frame. */
  sample: string;
}

/** Subscribers of one server. */
export interface Audience {
  /** From now on so many events shall come to each. */
  expect(eventCount: number): void;
  /** Resolves when all have come, or nothing has for a while. */
  received(): Promise<Receipts>;
  leave(): void;
}

/** Opens one socket. Resolves when whatever is published from now on will come to it. */
export type Opener = () => Promise<WebSocket>;

const cursorLength = 38;
const givesUpMs = 20_000;
/** So many sockets are being opened at a time. */
const openingMax = 32;

/** An audience of `size` that has arrived. */
export async function gather(size: number, open: Opener): Promise<Audience> {
  const sockets: WebSocket[] = [];
  while (sockets.length < size) {
    sockets.push(...(await Promise.all(Array.from({ length: Math.min(openingMax, size - sockets.length) }, open))));
  }
  let expectedCount = 0;
  let missingCount = 0;
  let strayCount = 0;
  let cursorAt = -1;
  let sample = '';
  let all = Promise.withResolvers<void>();
  const cursors: Buffer[] = [];
  const counts = new Uint32Array(size);
  let receivedAt = new Float64Array();

  // Nothing is parsed: frames differ in the subscriber's id, which has one length, so that the cursor stands at the same
  // place in all of them, and each must be the one that the fastest subscriber had there.
  function take(subscriber: number, frame: RawData) {
    const at = now();
    const event = counts[subscriber] ?? 0;
    if (event >= expectedCount || !Buffer.isBuffer(frame)) {
      strayCount += 1;
      return;
    }
    counts[subscriber] = event + 1;
    receivedAt[event * size + subscriber] = at;
    const known = cursors[event];
    if (known) {
      if (known.compare(frame, cursorAt, cursorAt + cursorLength) !== 0) strayCount += 1;
    } else {
      if (event === 0) {
        sample = frame.toString();
        cursorAt = sample.indexOf('"cursor":"') + '"cursor":"'.length;
      }
      cursors[event] = Buffer.from(frame.subarray(cursorAt, cursorAt + cursorLength));
    }
    missingCount -= 1;
    if (missingCount === 0) all.resolve();
  }

  for (const [subscriber, socket] of sockets.entries()) socket.on('message', (frame) => take(subscriber, frame));

  /** Resolves when for long nothing has come. */
  async function untilStalled(signal: AbortSignal) {
    let before = -1;
    while (missingCount !== before && !signal.aborted) {
      before = missingCount;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, givesUpMs);
        signal.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true });
      });
    }
  }

  return {
    expect(eventCount) {
      expectedCount = eventCount;
      missingCount = eventCount * size;
      cursors.length = 0;
      counts.fill(0);
      receivedAt = new Float64Array(missingCount);
      all = Promise.withResolvers();
    },
    async received() {
      const ended = new AbortController();
      await Promise.race([all.promise, untilStalled(ended.signal)]);
      ended.abort();
      const receipts = { receivedAt, cursors: cursors.map(String), lostCount: missingCount, strayCount, sample };
      strayCount = 0;
      return receipts;
    },
    leave() {
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Opens sockets on which whatever the server sends is an event. */
export function bareOpener(url: string): Opener {
  return async () => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    await once(socket, 'open');
    return socket;
  };
}

/** Who subscribes, and to what. */
export interface Subscription {
  authorization: string;
  query: string;
  variables: Record<string, string>;
}

/** Opens sockets with one subscription each, by graphql-transport-ws, that have said where they stand. */
export function subscriptionOpener(url: string, { authorization, query, variables }: Subscription): Opener {
  return async () => {
    const socket = new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
    const say = async (message: object) => {
      const answered = once(socket, 'message');
      socket.send(JSON.stringify(message));
      return String(await answered);
    };
    await once(socket, 'open');
    await say({ type: 'connection_init', payload: { authorization } });
    const position = await say({ id: randomUUID(), type: 'subscribe', payload: { query, variables } });
    if (!/"state":"LIVE"/.test(position)) throw new Error(`Not subscribed: ${position}`);
    return socket;
  };
}
