import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import type { Logger } from '../logger.ts';
import type { Hub } from '../stream/hub.ts';
import { createLatch, type Latch } from '../stream/latch.ts';
import { openStream, type Stream } from '../stream/open-stream.ts';
import { createOutage } from '../stream/outage.ts';
import { createPulse, type Next } from '../stream/pulse.ts';
import { type Progress, readProgress, readProgressOf } from './progress.ts';

/** Four a second at most. */
const intervalMs = 250;
/** Claims, and the end of a fan-out, change what is shown without an event. */
const pollMs = 1_000;

interface ProgressStreamOptions {
  hub: Hub;
  pool: pg.Pool;
  log: Logger;
  notificationId: string;
  signal?: AbortSignal | undefined;
}

/**
 * A notification's totals: the latest at once, then the latest again when they have changed, at most four times a
 * second, and for the last time when they are complete, which ends it. Ends without a word when there is no such
 * notification, and when the hub closes. All streams of one hub share one statement a tick.
 */
export function streamProgress({ hub, pool, log, notificationId, signal }: ProgressStreamOptions): Stream<Progress> {
  let board = boards.get(hub);
  if (!board) {
    board = createBoard({ hub, pool, log });
    boards.set(hub, board);
  }
  return board.view(notificationId.toLowerCase(), signal);
}

const boards = new WeakMap<Hub, Board>();

/** The totals that somebody looks at. */
interface Board {
  view(notificationId: string, signal: AbortSignal | undefined): Stream<Progress>;
}

interface Subject {
  /** Undefined: not read yet. Null: no such notification. */
  latest: Progress | null | undefined;
  /** The hub has closed. */
  hasEnded: boolean;
  /** Opened when there is something to look at. */
  readonly viewers: Set<Latch>;
  readonly touched: Stream<'touched'>;
}

function createBoard({ hub, pool, log }: { hub: Hub; pool: pg.Pool; log: Logger }): Board {
  const outage = createOutage(log, {
    began: "Notifications' totals cannot be read; their streams wait",
    ended: "Notifications' totals can be read again",
  });
  const subjects = new Map<string, Subject>();
  const streams = new Set<Stream<unknown>>();
  let isDue = false;
  const pulse = createPulse(refreshAll, () => subjects.size > 0);

  async function refreshAll(): Promise<Next> {
    if (!isDue) {
      // Nothing was heard of. The next step looks all the same, unless a wake-up makes it come sooner.
      isDue = true;
      return { kind: 'onWake', ms: pollMs };
    }
    isDue = false;
    try {
      await refresh([...subjects.keys()]);
      outage.over();
      return { kind: 'after', ms: intervalMs };
    } catch (error) {
      isDue = true;
      return { kind: 'after', ms: outage.failed(error) };
    }
  }

  async function refresh(ids: readonly string[]) {
    const latest = await readProgressOf(pool, ids);
    for (const [index, id] of ids.entries()) {
      const subject = subjects.get(id);
      if (subject) show(subject, latest[index] ?? null);
    }
  }

  function show(subject: Subject, latest: Progress | null) {
    subject.latest = latest;
    for (const viewer of subject.viewers) viewer.open();
  }

  function refreshSoon() {
    isDue = true;
    pulse.wake();
  }

  function addSubject(id: string): Subject {
    const touched = hub.touched({ notificationId: id });
    const subject: Subject = { latest: undefined, hasEnded: false, viewers: new Set(), touched };
    subjects.set(id, subject);
    follow(id, subject);
    readFirst(id, subject);
    return subject;
  }

  /** The next tick may be a while away. Should it come first after all, it knows better. */
  async function readFirst(id: string, subject: Subject) {
    try {
      const latest = await readProgress(pool, id);
      if (subject.latest === undefined) show(subject, latest);
    } catch (error) {
      outage.failed(error);
    }
  }

  function removeSubject(id: string, subject: Subject) {
    if (subjects.get(id) === subject) subjects.delete(id);
    if (subjects.size === 0) pulse.sleep();
    subject.touched.end();
  }

  async function follow(id: string, subject: Subject) {
    for await (const _ of subject.touched) refreshSoon();
    removeSubject(id, subject);
    subject.hasEnded = true;
    for (const viewer of subject.viewers) viewer.open();
  }

  async function* viewOf(id: string, ending: AbortSignal): AsyncGenerator<Progress, void, undefined> {
    const subject = subjects.get(id) ?? addSubject(id);
    const viewer = createLatch();
    subject.viewers.add(viewer);
    ending.addEventListener('abort', viewer.open, { once: true });
    let shown: Progress | undefined;
    try {
      for (;;) {
        const { latest, hasEnded } = subject;
        if (latest && !isDeepStrictEqual(latest, shown)) {
          shown = latest;
          yield latest;
          if (latest.isComplete) return;
          await sleep(intervalMs, undefined, { signal: ending });
        } else if (latest === null || hasEnded) {
          return;
        } else {
          await viewer.passed();
          ending.throwIfAborted();
        }
      }
    } finally {
      subject.viewers.delete(viewer);
      if (subject.viewers.size === 0) removeSubject(id, subject);
    }
  }

  return { view: (id, signal) => openStream((ending) => viewOf(id, ending), { signal, among: streams }) };
}
