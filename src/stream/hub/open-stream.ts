import type { Outage } from '../outage.ts';
import { type Access, createGate, type Gate, noGate } from './gate.ts';

/** A stream that somebody reads: each item is made when it is asked for. */
export interface Stream<Item> extends AsyncIterableIterator<Item, undefined, undefined> {
  /** Rejects once with why the reader may not read on, if that is why the stream has ended. */
  next(): Promise<IteratorResult<Item, undefined>>;
  /** As `next`, with all the items that are there at once; undefined: there are no more to come. */
  nextBatch(): Promise<readonly Item[] | undefined>;
  /** Ends it at once, also while a `next` is waiting, which then says that it is done. */
  return(): Promise<IteratorResult<Item, undefined>>;
  /** The same, without waiting for anything. */
  end(): void;
  /**
   * For whoever hands out a batch bit by bit: waits while the reader's rights are looked at. False: the stream has ended,
   * and `next` tells why.
   */
  mayGoOn(): Promise<boolean>;
  /** Aborts when the stream ends. */
  readonly ending: AbortSignal;
}

interface StreamOptions {
  /** Ends the stream when it aborts. */
  signal?: AbortSignal | undefined;
  /** Holds the stream for as long as it lasts. */
  among: Set<Stream<unknown>>;
  /** By what right it is read. Absent: by any. */
  access?: Access | undefined;
  outage: Outage;
  guard(subjectId: string, onChanged: () => void): () => void;
}

/** What yields a stream's items, in batches. */
export type Produce<Item> = (signal: AbortSignal, gate: Gate) => AsyncGenerator<readonly Item[], void, undefined>;

/**
 * A stream of what `produce` yields. Its `signal` aborts when the stream ends; whatever `produce` waits for must then
 * reject, so that nobody waits for a generator that waits. An async generator alone would let a `return` queue behind a
 * `next` that never comes.
 */
export function openStream<Item>(
  produce: Produce<Item>,
  { signal, among, access, outage, guard }: StreamOptions,
): Stream<Item> {
  const ending = new AbortController();
  const done = { done: true, value: undefined } as const;
  let closing: Promise<unknown> = Promise.resolve();
  let refusal: Error | undefined;
  let batch: readonly Item[] = [];
  let takenCount = 0;

  function end() {
    if (ending.signal.aborted) return;
    ending.abort();
    // Runs the generator's `finally`, also when nobody asks for another item.
    closing = batches.return();
    signal?.removeEventListener('abort', end);
    among.delete(stream);
  }

  function refuse(why: Error) {
    if (ending.signal.aborted) return;
    refusal = why;
    end();
  }

  /** Throws why the reader was refused, once. */
  function finish(): undefined {
    const why = refusal;
    refusal = undefined;
    if (why) throw why;
  }

  async function mayGoOn(): Promise<boolean> {
    try {
      if (gate.isShut) await gate.passed();
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    }
    return !ending.signal.aborted;
  }

  async function nextBatch(): Promise<readonly Item[] | undefined> {
    if (takenCount === batch.length) {
      try {
        const result = await batches.next();
        if (result.done) end();
        batch = result.done ? [] : result.value;
        takenCount = 0;
      } catch (error) {
        if (!ending.signal.aborted) {
          end();
          throw error;
        }
      }
    }
    if (!(await mayGoOn())) return finish();
    const rest = takenCount === 0 ? batch : batch.slice(takenCount);
    // Not kept: its reader may be the only one who still needs it.
    batch = [];
    takenCount = 0;
    return rest;
  }

  const gate = access ? createGate({ access, outage, guard, refuse, signal: ending.signal }) : noGate;
  const batches = produce(ending.signal, gate);
  const stream: Stream<Item> = {
    nextBatch,
    async next() {
      while (!ending.signal.aborted) {
        const value = batch[takenCount];
        if (value !== undefined && !gate.isShut) {
          takenCount += 1;
          return { done: false, value };
        }
        const rest = await nextBatch();
        if (!rest) return done;
        batch = rest;
        takenCount = 0;
      }
      finish();
      return done;
    },
    async return() {
      refusal = undefined;
      end();
      await closing;
      return done;
    },
    end,
    mayGoOn,
    ending: ending.signal,
    [Symbol.asyncIterator]: () => stream,
  };
  among.add(stream);
  if (signal?.aborted) end();
  else signal?.addEventListener('abort', end, { once: true });
  return stream;
}
