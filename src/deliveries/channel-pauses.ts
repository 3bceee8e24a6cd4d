import type { SendOutcome } from '../channels/channel.ts';
import type { Channel, ChannelPauseCause } from '../generated/prisma/enums.ts';
import type { Logger } from '../logger.ts';
import type { Database } from '../storage/database.ts';
import {
  deletePause,
  insertPause,
  listPauses,
  type Provider,
  takeProbe,
  toProviderKey as toKey,
} from './channel-pause-store.ts';

/** Not sent, and due again in `delayMs`. */
interface PutOff {
  kind: 'putOff';
  delayMs: number;
}

/** One delivery's turn with its provider. */
interface Turn {
  /** Waits until it may be sent, at the channel's rate. False: it was given up before. */
  wait(): Promise<boolean>;
  /** `mayBegin` is asked after a wait of the channel's own, if it has one: false when the provider has been paused meanwhile. */
  send(mayBegin: () => boolean): Promise<SendOutcome>;
  /** Whether failures in a row mean that the provider is down. */
  counts: boolean;
}

/** What came of a turn. */
export type TurnEnd = SendOutcome | PutOff;

/**
 * The providers that are down, so that one with wrong credentials neither fails a million deliveries nor tries them all, and
 * one that does not answer uses up nobody's attempts (a circuit breaker). A pause is in the database, for all workers: it
 * begins when a provider says that nothing can be sent, or after so many failures in a row in one process, or so many rejections
 * without an accepted message between them that wrong credentials would bring to each message; then one send of all workers' is
 * let through per `pauseMs` to see whether it is back, and the rest stays queued. It ends when the provider takes a message (or
 * refuses that one only), or by `resumeChannel`.
 */
export interface ChannelPauses {
  /** Hears of what other processes have found, and of what was resumed. */
  refresh(): Promise<void>;
  /**
   * Sends, unless the provider is paused. Where this turn is the try, those that come meanwhile wait for how it ends. What
   * `send` throws is thrown, and counts as nothing.
   */
  guard(provider: Provider, turn: Turn): Promise<TurnEnd>;
  /** Channels whose deliveries need not be looked at now: each of their providers is paused and none may be tried. */
  listPaused(): Channel[];
  /** Until a provider that is down is tried again, in milliseconds. */
  readonly pauseMs: number;
}

interface ChannelPausesOptions {
  db: Database;
  log: Logger;
  /** All that there are: a channel is paused when each of its own is. */
  listProviders: () => readonly Provider[];
  pauseMs: number;
  /** Sends in a row that were not answered, or put off, or whose rejection is suspect, before a provider is paused. @default 20 */
  failuresMax?: number;
  /** Aborts when sends are cut off: what fails then is no fault of a provider's. */
  signal: AbortSignal;
  /** A clock in milliseconds that never goes backwards. */
  now?: () => number;
}

interface Pause {
  provider: Provider;
  /** Until then nothing is begun. */
  until: number;
  /** The try under way in this process. */
  probe: Promise<unknown> | null;
  /** It is not in the database yet. */
  isNew: boolean;
}

/** @returns how many there are with it. */
function countOneMore(counts: Map<string, number>, provider: Provider): number {
  const count = (counts.get(toKey(provider)) ?? 0) + 1;
  counts.set(toKey(provider), count);
  return count;
}

/** What this process knows of pauses: nothing, until the first `refresh`. */
export function createChannelPauses(options: ChannelPausesOptions): ChannelPauses {
  const { db, log, listProviders, pauseMs, failuresMax = 20, signal, now = () => performance.now() } = options;
  const pauses = new Map<string, Pause>();
  const failures = new Map<string, number>();
  const suspects = new Map<string, number>();

  async function refresh() {
    // What begins meanwhile may not be in the answer.
    const before = [...pauses].filter(([, { isNew }]) => !isNew);
    const known = await listPauses(db);
    const keys = new Set(known.map(toKey));
    for (const [key, pause] of before) if (!keys.has(key) && pauses.get(key) === pause) pauses.delete(key);
    for (const { waitMs, ...provider } of known) {
      const pause = pauses.get(toKey(provider));
      if (pause?.probe) continue;
      pauses.set(toKey(provider), { provider, until: now() + waitMs, probe: null, isNew: false });
    }
  }

  /** A pause holds in this process also where the database cannot be told of it. */
  async function attempt(change: () => Promise<void>) {
    try {
      await change();
    } catch (err) {
      log.warn({ err }, 'A pause of a channel could not be written.');
    }
  }

  async function begin(provider: Provider, cause: ChannelPauseCause, providerCode: string | null) {
    failures.delete(toKey(provider));
    suspects.delete(toKey(provider));
    if (pauses.has(toKey(provider))) return;
    const pause: Pause = { provider, until: now() + pauseMs, probe: null, isNew: true };
    pauses.set(toKey(provider), pause);
    await attempt(async () => {
      const isFirst = await insertPause(db, provider, { cause, providerCode, pauseMs });
      if (isFirst) log.error({ ...provider, cause, providerCode }, 'A channel is down; its deliveries wait.');
    });
    pause.isNew = false;
  }

  async function end(provider: Provider) {
    if (!pauses.delete(toKey(provider))) return;
    await attempt(async () => {
      if (await deletePause(db, provider)) log.info({ ...provider }, 'A channel that was down works again.');
    });
  }

  async function note(provider: Provider, outcome: SendOutcome, counts: boolean) {
    if (outcome.kind === 'channelDown') return begin(provider, 'REFUSED', outcome.providerCode);
    if (outcome.kind === 'retry' && outcome.isThrottled) return;
    if (outcome.kind === 'rejected' && outcome.isSuspect) {
      failures.delete(toKey(provider));
      if (countOneMore(suspects, provider) >= failuresMax) await begin(provider, 'REFUSED', outcome.providerCode);
      return;
    }
    if (outcome.kind !== 'retry' || outcome.isMessageOnly) {
      failures.delete(toKey(provider));
      if (outcome.kind === 'accepted') suspects.delete(toKey(provider));
      return end(provider);
    }
    if (!counts || signal.aborted) return;
    if (countOneMore(failures, provider) >= failuresMax) await begin(provider, 'UNAVAILABLE', outcome.providerCode);
  }

  const putOff = (): PutOff => ({ kind: 'putOff', delayMs: pauseMs });

  async function run(provider: Provider, turn: Turn, { isProbe = false } = {}): Promise<TurnEnd> {
    if (!(await turn.wait())) return { kind: 'putOff', delayMs: 0 };
    // Those before it may have found out meanwhile.
    const mayBegin = () => isProbe || !pauses.has(toKey(provider));
    if (!mayBegin()) return putOff();
    const outcome = await turn.send(mayBegin);
    if (outcome.kind === 'retry' && outcome.isUnsent) return mayBegin() ? { kind: 'putOff', delayMs: 0 } : putOff();
    await note(provider, outcome, turn.counts);
    return outcome;
  }

  async function probe(pause: Pause, turn: Turn): Promise<TurnEnd> {
    // Whoever comes meanwhile waits, and this is the only one of the process that asks.
    const { promise, resolve } = Promise.withResolvers<void>();
    pause.probe = promise;
    try {
      if (await takeProbe(db, pause.provider, pauseMs)) {
        pause.until = now() + pauseMs;
        return await run(pause.provider, turn, { isProbe: true });
      }
      pause.probe = null;
      await refresh();
      return pauses.has(toKey(pause.provider)) ? putOff() : await run(pause.provider, turn);
    } finally {
      pause.probe = null;
      resolve();
    }
  }

  return {
    pauseMs,
    refresh,
    async guard(provider, turn) {
      const pause = pauses.get(toKey(provider));
      if (!pause) return run(provider, turn);
      if (pause.probe) {
        await pause.probe;
        return pauses.has(toKey(provider)) ? putOff() : run(provider, turn);
      }
      return now() < pause.until ? putOff() : probe(pause, turn);
    },
    listPaused() {
      const isOpen = (provider: Provider) => now() >= (pauses.get(toKey(provider))?.until ?? 0);
      const byChannel = Map.groupBy(listProviders(), ({ channel }) => channel);
      return [...byChannel].flatMap(([channel, providers]) => (providers.some(isOpen) ? [] : [channel]));
    },
  };
}
