import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { DeliveryStatus } from '../generated/prisma/enums.ts';
import type { Logger } from '../logger.ts';
import { type Database, sql, type Transaction } from '../storage/database.ts';
import type { Access } from '../stream/hub/gate.ts';
import type { Hub } from '../stream/hub/hub.ts';
import type { Stream } from '../stream/hub/open-stream.ts';
import { createLatch, type Latch } from '../stream/latch.ts';
import { createOutage } from '../stream/outage.ts';
import { createPulse, type Next } from '../stream/pulse.ts';

/** How many deliveries of a notification are where. The exclusive counts add up to `total`. */
export interface Progress {
  readonly total: number;
  readonly queued: number;
  readonly sending: number;
  readonly sent: number;
  readonly delivered: number;
  readonly opened: number;
  readonly clicked: number;
  readonly failed: number;
  readonly bounced: number;
  readonly discarded: number;
  readonly expired: number;
  readonly cancelled: number;
  /** How many have ever come this far: whatever is opened also counts as delivered and sent. */
  readonly reached: {
    readonly sent: number;
    readonly delivered: number;
    readonly opened: number;
    readonly clicked: number;
  };
  /** Fan-out is finished, no further channel follows, and no delivery is queued or being sent. Receipts may still come. */
  readonly isComplete: boolean;
}

interface CountRow {
  id: string;
  /** Its fan-out is finished, and no further channel may follow for anybody. */
  is_fanned_out: boolean;
  status: DeliveryStatus | null;
  current: number | null;
  reached: number | null;
}

/** A notification's totals, from its counters. Null when there is no such notification. */
export async function readProgress(
  db: Pick<Transaction, '$queryRaw'>,
  notificationId: string,
): Promise<Progress | null> {
  const [progress] = await readProgressOf(db, [notificationId]);
  return progress ?? null;
}

/** The totals of several notifications, in the order of `notificationIds`, by one statement. */
export async function readProgressOf(
  db: Pick<Transaction, '$queryRaw'>,
  notificationIds: readonly string[],
): Promise<(Progress | null)[]> {
  const rows = await db.$queryRaw<CountRow[]>(sql`
    select
      notifications.id, counts.status, counts.current, counts.reached,
      fan_out_finished_at is not null and (orchestration <> 'FALLBACK' or cancelled_at is not null or not exists (
        select from fallbacks where notification_id = notifications.id
      )) as is_fanned_out
    from notifications
    left join notification_counts counts on counts.notification_id = notifications.id
    where notifications.id = any(${[...notificationIds]}::uuid[])`);
  const rowsById = Map.groupBy(rows, ({ id }) => id);
  return notificationIds.map((id) => toProgress(rowsById.get(id.toLowerCase())));
}

function toProgress(rows: readonly CountRow[] | undefined): Progress | null {
  const [first] = rows ?? [];
  if (!rows || !first) return null;
  const byStatus = new Map(rows.map((row) => [row.status, row]));
  const current = (status: DeliveryStatus) => byStatus.get(status)?.current ?? 0;
  const reached = (status: DeliveryStatus) => byStatus.get(status)?.reached ?? 0;
  return {
    total: rows.reduce((sum, row) => sum + (row.current ?? 0), 0),
    queued: current('QUEUED'),
    sending: current('SENDING'),
    sent: current('SENT'),
    delivered: current('DELIVERED'),
    opened: current('OPENED'),
    clicked: current('CLICKED'),
    failed: current('FAILED'),
    bounced: current('BOUNCED'),
    discarded: current('DISCARDED'),
    expired: current('EXPIRED'),
    cancelled: current('CANCELLED'),
    reached: {
      sent: reached('SENT'),
      delivered: reached('DELIVERED'),
      opened: reached('OPENED'),
      clicked: reached('CLICKED'),
    },
    isComplete: first.is_fanned_out && current('QUEUED') === 0 && current('SENDING') === 0,
  };
}

/** Four a second at most. */
const intervalMs = 250;
/** Claims, and the end of a fan-out, change what is shown without an event. */
const pollMs = 1_000;

interface ProgressStreamOptions {
  hub: Hub;
  db: Database;
  log: Logger;
  notificationId: string;
  signal?: AbortSignal | undefined;
  /** By what right it is read. Absent: the caller sees to it. */
  access?: Access | undefined;
}

/**
 * A notification's totals: the latest at once, then the latest again when they have changed, at most four times a
 * second, and for the last time when they are complete, which ends it. Ends without a word when there is no such
 * notification, and when the hub closes. All streams of one hub share one statement a tick.
 */
export function streamProgress({ hub, db, log, notificationId, ...read }: ProgressStreamOptions): Stream<Progress> {
  let board = boards.get(hub);
  if (!board) {
    board = createBoard({ hub, db, log });
    boards.set(hub, board);
  }
  const { view } = board;
  return hub.open((ending) => view(notificationId.toLowerCase(), ending), read);
}

const boards = new WeakMap<Hub, Board>();

/** The totals that somebody looks at. */
interface Board {
  /** Yields one at a time; throws when `ending` aborts. */
  view(notificationId: string, ending: AbortSignal): AsyncGenerator<readonly Progress[], void, undefined>;
}

interface Subject {
  /** Undefined: not read yet. Null: no such notification. */
  latest: Progress | null | undefined;
  /** Opened when there is something to look at. */
  readonly viewers: Set<Latch>;
  readonly touched: Stream<'touched'>;
}

function createBoard({ hub, db, log }: { hub: Hub; db: Database; log: Logger }): Board {
  const outage = createOutage(log, {
    began: "Notifications' totals cannot be read; their streams wait",
    ended: "Notifications' totals can be read again",
  });
  const subjects = new Map<string, Subject>();
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
      await refresh();
      outage.over();
      return { kind: 'after', ms: intervalMs };
    } catch (error) {
      isDue = true;
      return { kind: 'after', ms: outage.failed(error) };
    }
  }

  async function refresh() {
    // Those of before the read: one that comes while it goes on may be newer than what it brings.
    const looked = [...subjects];
    const latest = await readProgressOf(
      db,
      looked.map(([id]) => id),
    );
    for (const [index, [, subject]] of looked.entries()) show(subject, latest[index] ?? null);
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
    const subject: Subject = { latest: undefined, viewers: new Set(), touched };
    subjects.set(id, subject);
    follow(id, subject);
    readFirst(id, subject);
    return subject;
  }

  /** The next tick may be a while away. Should it come first after all, it knows better. */
  async function readFirst(id: string, subject: Subject) {
    try {
      const latest = await readProgress(db, id);
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
  }

  async function* view(id: string, ending: AbortSignal): AsyncGenerator<readonly Progress[], void, undefined> {
    const subject = subjects.get(id) ?? addSubject(id);
    const viewer = createLatch();
    subject.viewers.add(viewer);
    ending.addEventListener('abort', viewer.open, { once: true });
    let shown: Progress | undefined;
    try {
      for (;;) {
        const { latest } = subject;
        if (latest && !isDeepStrictEqual(latest, shown)) {
          shown = latest;
          yield [latest];
          if (latest.isComplete) return;
          await sleep(intervalMs, undefined, { signal: ending });
        } else if (latest === null) {
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

  return { view };
}
