import type pg from 'pg';
import type { Logger } from '../../logger.ts';
import type { Bus } from '../bus/bus.ts';
import type { Cursor } from '../log/cursor.ts';
import { type AccessAnswer, type LogGap, readLogHead, readLogTail, type TailPage } from '../log/log.ts';
import type { AccessPosition, AccessQuestion } from '../log/log-query.ts';
import { createOutage } from '../outage.ts';
import { createPulse, type Next } from '../pulse.ts';
import type { Gate } from './gate.ts';
import { type EventItem, type Guest, Seat, toEventItem } from './seat.ts';
import { createSeating } from './seating.ts';

/**
 * The one reader of a process. It keeps one place in the log and, on each wake-up or poll, reads what is new for all who
 * have a seat or watch, in one statement; with nobody there it reads nothing.
 */
export interface Reader {
  /**
   * Seats a stream. Every event of its topic behind `seat.servedFrom` will be put into the seat; that place is known at
   * once, or after the read that is under way. What lies before it is the stream's own to read.
   */
  join(guest: Guest): Seat;
  leave(seat: Seat): void;
  /** Calls `onTouched` soon after each new event of the notification, sometimes without one. Returns how to stop it. */
  watch(notificationId: string, onTouched: () => void): () => void;
  /**
   * Calls `onChanged` as soon as the rights of the subject may have become less than they were when this was called,
   * before anything is handed over that was written after that. Returns how to stop it.
   */
  guard(subjectId: string, onChanged: () => void): () => void;
  /**
   * For who reads pages on behalf of several that are guarded: what to ask with each, and whom to give the answer to, so
   * that they are told before they get what was written after a change.
   */
  guardAll(): Pick<Gate, 'question' | 'heed'>;
  /** Up to where all has been handed over to those who are seated; null while nobody is there. */
  place(): bigint | null;
  /** Takes every seat away, so that each stream sees for itself whether its place still is one. */
  dismiss(): void;
  /** Reads no more; resolves when the read that was under way has ended. */
  close(): Promise<void>;
}

interface ReaderOptions {
  pool: pg.Pool;
  bus: Bus;
  log: Logger;
  pollMs: number;
  pageSize: number;
  topicsMax: number;
  seatSizeMax: number;
}

interface Watch {
  readonly notificationId: string;
  readonly onTouched: () => void;
}

interface Guard {
  readonly subjectId: string;
  readonly onChanged: () => void;
}

/** A reader that nobody listens to yet. */
export function createReader({ pool, bus, log, pollMs, pageSize, topicsMax, seatSizeMax }: ReaderOptions): Reader {
  const outage = createOutage(log, {
    began: 'The delivery log cannot be read; live streams wait',
    ended: 'The delivery log can be read again; live streams go on',
  });
  const seating = createSeating();
  const watches = new Set<Watch>();
  const guards = new Map<string, Set<Guard>>();
  // Those who came during a read that does not count them in.
  const newSeats = new Set<Seat>();
  const newWatches = new Set<Watch>();
  /** All up to here has been handed over to those who are seated. Undefined while nobody is there. */
  let position: Cursor | undefined;
  /** Whoever has lost rights up to here has been told. Undefined while nobody is there, and until the first read. */
  let accessPosition: AccessPosition | undefined;
  let isReading = false;
  const isAlone = () => [seating, watches, newSeats, newWatches, guards].every(({ size }) => size === 0);

  async function read(access: AccessQuestion | undefined): Promise<TailPage | LogGap> {
    const watchedIds = [...new Set([...watches].map(({ notificationId }) => notificationId))];
    if (position) {
      const tail = { ...seating.tail(topicsMax), watchedIds };
      return readLogTail(pool, tail, { after: position, limit: pageSize, access });
    }
    const head = await readLogHead(pool, access);
    return { ...head, kind: 'page', entries: [], completeThrough: head, hasMore: false, touchedIds: watchedIds };
  }

  /** Reads what is new and hands it over. Whether to read on, wait for more, or wait out an outage. */
  async function advance(): Promise<Next> {
    const after = position;
    const access = question();
    isReading = true;
    try {
      const found = await read(access);
      outage.over();
      // Of those whose log was replaced, nobody knows since when.
      tellGuards(found, found.kind === 'gap' ? undefined : access);
      // Else those for whom it was read were dismissed meanwhile.
      if (position === after) handOver(found, after);
      return found.kind === 'gap' || found.hasMore ? { kind: 'now' } : { kind: 'onWake', ms: pollMs };
    } catch (error) {
      return { kind: 'after', ms: outage.failed(error) };
    } finally {
      isReading = false;
      admit();
    }
  }

  /** Whose rights have become less since the guards were told. Undefined: nobody knows since when. */
  const question = () => (accessPosition === undefined ? undefined : { after: accessPosition });

  /** The answers to several questions may come in any order: the place goes back then, and something is told twice. */
  function tellGuards(answer: AccessAnswer, asked: AccessQuestion | undefined) {
    const changed = asked ? answer.changedSubjectIds : [...guards.keys()];
    accessPosition = answer.accessPosition;
    for (const subjectId of changed) for (const { onChanged } of [...(guards.get(subjectId) ?? [])]) onChanged();
  }

  function handOver(found: TailPage | LogGap, after: Cursor | undefined) {
    if (found.kind === 'gap') {
      dismiss();
      return;
    }
    for (const tailEntry of found.entries) {
      let item: EventItem | undefined;
      for (const seat of seating.of(tailEntry)) {
        item ??= toEventItem(found.completeThrough.epoch, tailEntry.entry, after ?? found.completeThrough);
        if (!seat.offer(item)) seating.remove(seat);
      }
    }
    position = found.completeThrough;
    const touched = new Set(found.touchedIds);
    for (const watch of watches) if (touched.has(watch.notificationId)) watch.onTouched();
  }

  function admit() {
    for (const seat of newSeats) {
      position ??= seat.takenAt;
      seat.serve(position);
      seating.add(seat);
    }
    for (const watch of newWatches) {
      watches.add(watch);
      watch.onTouched();
    }
    newSeats.clear();
    newWatches.clear();
  }

  function dismiss() {
    for (const seat of [...seating.all(), ...newSeats]) {
      seating.remove(seat);
      seat.lose();
    }
    newSeats.clear();
    position = undefined;
    for (const watch of watches) watch.onTouched();
  }

  const pulse = createPulse(advance, () => !isAlone());
  const stopListening = bus.listen(pulse.wake);

  function arrive(enter: () => void) {
    const wasAlone = isAlone();
    enter();
    if (!isReading) admit();
    // Whoever comes to a reader that read has its wake-ups; for the first, some may have been missed.
    if (wasAlone) pulse.wake();
  }

  function restIfAlone() {
    if (!isAlone()) return;
    position = undefined;
    accessPosition = undefined;
    pulse.sleep();
  }

  return {
    join(guest) {
      const seat = new Seat(guest, seatSizeMax);
      arrive(() => newSeats.add(seat));
      return seat;
    },
    leave(seat) {
      newSeats.delete(seat);
      seating.remove(seat);
      restIfAlone();
    },
    watch(notificationId, onTouched) {
      const watch = { notificationId, onTouched };
      arrive(() => newWatches.add(watch));
      return () => {
        watches.delete(watch);
        newWatches.delete(watch);
        restIfAlone();
      };
    },
    guard(subjectId, onChanged) {
      const guard = { subjectId, onChanged };
      arrive(() => guards.set(subjectId, (guards.get(subjectId) ?? new Set()).add(guard)));
      return () => {
        const group = guards.get(subjectId);
        group?.delete(guard);
        if (group?.size === 0) guards.delete(subjectId);
        restIfAlone();
      };
    },
    guardAll() {
      let asked: AccessQuestion | undefined;
      return {
        question() {
          asked = question();
          return asked;
        },
        heed: (answer) => tellGuards(answer, asked),
      };
    },
    place: () => position?.position ?? null,
    dismiss,
    async close() {
      stopListening();
      await pulse.stop();
    },
  };
}
