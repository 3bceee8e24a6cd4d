/** A stream that somebody reads: each item is made when it is asked for. */
export interface Stream<Item> extends AsyncIterableIterator<Item, undefined, undefined> {
  next(): Promise<IteratorResult<Item, undefined>>;
  /** Ends it at once, also while a `next` is waiting, which then says that it is done. */
  return(): Promise<IteratorResult<Item, undefined>>;
  /** The same, without waiting for anything. */
  end(): void;
}

interface StreamOptions {
  /** Ends the stream when it aborts. */
  signal?: AbortSignal | undefined;
  /** Holds the stream for as long as it lasts. */
  among: Set<Stream<unknown>>;
}

/**
 * A stream of what `produce` yields. Its `signal` aborts when the stream ends; whatever `produce` waits for must then
 * reject, so that nobody waits for a generator that waits. An async generator alone would let a `return` queue behind a
 * `next` that never comes.
 */
export function openStream<Item>(
  produce: (signal: AbortSignal) => AsyncGenerator<Item, void, undefined>,
  { signal, among }: StreamOptions,
): Stream<Item> {
  const ending = new AbortController();
  const items = produce(ending.signal);
  const done = { done: true, value: undefined } as const;
  let closing: Promise<unknown> = Promise.resolve();

  function end() {
    if (ending.signal.aborted) return;
    ending.abort();
    // Runs the generator's `finally`, also when nobody asks for another item.
    closing = items.return();
    signal?.removeEventListener('abort', end);
    among.delete(stream);
  }

  const stream: Stream<Item> = {
    async next() {
      if (ending.signal.aborted) return done;
      try {
        const result = await items.next();
        if (result.done) end();
        return ending.signal.aborted || result.done ? done : result;
      } catch (error) {
        if (ending.signal.aborted) return done;
        end();
        throw error;
      }
    },
    async return() {
      end();
      await closing;
      return done;
    },
    end,
    [Symbol.asyncIterator]: () => stream,
  };
  among.add(stream);
  if (signal?.aborted) end();
  else signal?.addEventListener('abort', end, { once: true });
  return stream;
}

/** Settles as `promise` does, or rejects with the signal's reason if that aborts first. */
export async function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
