import type { TailEntry } from '../log/log.ts';
import type { Tail } from '../log/log-query.ts';
import type { Seat } from './seat.ts';

/** Who is at the reader's table, by what they want to hear of. */
export interface Seating {
  add(seat: Seat): void;
  remove(seat: Seat): void;
  all(): Iterable<Seat>;
  /** How many there are. */
  readonly size: number;
  /** The seats whose topic an entry is of. */
  of(entry: TailEntry): Iterable<Seat>;
  /** What to read for all of them; more than `topicsMax` topics are read as one, everything. */
  tail(topicsMax: number): Omit<Tail, 'watchedIds'>;
}

/** Nobody, at first. */
export function createSeating(): Seating {
  const seats = new Set<Seat>();
  const ofEverything = new Set<Seat>();
  const byUser = new Map<string, Set<Seat>>();
  const byNotification = new Map<string, Set<Seat>>();
  /** A user's deliveries of one notification: found by the notification, which is the narrower. */
  const byBoth = new Map<string, Set<Seat>>();

  /** Where a seat belongs: a map and the key in it. Undefined for one that hears everything. */
  function placeOf({ topic: { notificationId, userId } }: Seat): [Map<string, Set<Seat>>, string] | undefined {
    if (notificationId !== undefined) return [userId === undefined ? byNotification : byBoth, notificationId];
    return userId === undefined ? undefined : [byUser, userId];
  }

  return {
    add(seat) {
      seats.add(seat);
      const place = placeOf(seat);
      if (!place) {
        ofEverything.add(seat);
        return;
      }
      const [map, id] = place;
      map.set(id, (map.get(id) ?? new Set()).add(seat));
    },
    remove(seat) {
      seats.delete(seat);
      const place = placeOf(seat);
      if (!place) {
        ofEverything.delete(seat);
        return;
      }
      const [map, id] = place;
      const group = map.get(id);
      group?.delete(seat);
      if (group?.size === 0) map.delete(id);
    },
    all: () => seats,
    get size() {
      return seats.size;
    },
    *of({ entry, userIds }) {
      yield* ofEverything;
      yield* byNotification.get(entry.notificationId) ?? [];
      for (const userId of userIds) yield* byUser.get(userId) ?? [];
      for (const seat of byBoth.get(entry.notificationId) ?? []) {
        const { userId } = seat.topic;
        if (userId !== undefined && userIds.includes(userId)) yield seat;
      }
    },
    tail(topicsMax) {
      const isEverything = ofEverything.size > 0 || byUser.size + byNotification.size + byBoth.size > topicsMax;
      return {
        isEverything,
        notificationIds: isEverything ? [] : [...new Set([...byNotification.keys(), ...byBoth.keys()])],
        userIds: isEverything ? [] : [...byUser.keys()],
        withUsers: byUser.size + byBoth.size > 0,
      };
    },
  };
}
