import type pg from 'pg';
import type { DeliveryEventStatus, DeliveryReason } from '../../generated/prisma/enums.ts';
import type { Cursor } from './cursor.ts';
import {
  type AccessPosition,
  type AccessQuestion,
  type EntryRow,
  entriesOf,
  type LogState,
  readRows,
  type Tail,
  type Topic,
  tailEntries,
  touchedAmong,
} from './log-query.ts';

// Reading the delivery log. A trigger on `deliveries` writes it in the transaction that changes a delivery, under a lock
// that is held from before a position is drawn until the transaction is visible. So positions are in commit order:
// who has seen position n will never see a lower one appear, and "everything above n" is all there is to ask for.
// The log is partitioned by position, hence by time: see rotate-log.ts.
//
// Each read is one statement, hence one snapshot: the entries, how far they reach, and whether the reader's place still
// is a place of this log are of the same moment, whatever retention or a restore does between two reads.

/** One state change of one delivery. */
export interface LogEntry {
  readonly position: bigint;
  readonly tag: number;
  readonly deliveryId: string;
  readonly notificationId: string;
  /** The user it was made for, even if merged since; null where the addressee is nobody known. */
  readonly userId: string | null;
  readonly status: DeliveryEventStatus;
  readonly reason: DeliveryReason | null;
  readonly at: Date;
}

/** What every read tells beside the entries, of the same moment. */
export interface AccessAnswer {
  /** The newest change's place. */
  readonly accessPosition: AccessPosition;
  /** Who was asked for and has lost rights. Empty if nobody was. */
  readonly changedSubjectIds: readonly string[];
}

/** The newest entry's place, and what retention has left. */
export interface LogHead extends Cursor, AccessAnswer {
  /** Every entry at or above it is still there. */
  readonly oldestPosition: bigint;
}

/** A stretch of the log. */
export interface LogPage<Entry = LogEntry> extends AccessAnswer {
  readonly kind: 'page';
  /** In order of position. */
  readonly entries: readonly Entry[];
  /** There is nothing left to read of the topic up to here: the last entry of a full page, else the log's head. */
  readonly completeThrough: Cursor;
  /** Whether the page is full, so that there may be more already. */
  readonly hasMore: boolean;
}

/** The reader's place is not in this log any more: what followed it is unknown. */
export interface LogGap extends AccessAnswer {
  readonly kind: 'gap';
  /** Where what is still there begins. */
  readonly oldest: Cursor;
}

/** An entry, and the ids by which a topic may name its user: the user, its survivor and all who were merged into that. */
export interface TailEntry {
  readonly entry: LogEntry;
  readonly userIds: readonly string[];
}

/** What is new for many topics. */
export interface TailPage extends LogPage<TailEntry> {
  /** Those of `watchedIds` that have new entries. */
  readonly touchedIds: readonly string[];
}

/** Where the log ends now. An empty log ends right before its oldest position. */
export async function readLogHead(pool: Pick<pg.Pool, 'query'>, access?: AccessQuestion): Promise<LogHead> {
  const { state } = await readRows(pool, { after: 0n, access });
  return { ...headOf(state), ...accessOf(state), oldestPosition: BigInt(state.oldest_position) };
}

/**
 * At most `limit` entries of the topic behind `after`, or, where that is null, from the oldest kept. A gap when `after`
 * belongs to another epoch, lies above the head or below what retention has kept, or is another event's place now.
 */
export async function readLogPage(
  pool: Pick<pg.Pool, 'query'>,
  topic: Topic,
  { after, limit, access }: { after: Cursor | null; limit: number; access?: AccessQuestion | undefined },
): Promise<LogPage | LogGap> {
  const position = after?.position ?? 0n;
  const { state, rows } = await readRows(pool, { after: position, entries: entriesOf(topic, position, limit), access });
  const entries = rows.map(toEntry);
  return toPage(state, entries, { after, last: entries.length < limit ? undefined : entries.at(-1) });
}

/**
 * At most `limit` new entries behind `after` for many topics at once. It walks along the new end of the log instead of
 * looking each topic up, so that its cost grows with what is new and not with how many topics there are.
 */
export async function readLogTail(
  pool: Pick<pg.Pool, 'query'>,
  tail: Tail,
  { after, limit, access }: { after: Cursor; limit: number; access?: AccessQuestion | undefined },
): Promise<TailPage | LogGap> {
  const { position } = after;
  const entriesSql = tailEntries(tail, position, limit);
  const touchedIds = touchedAmong(tail.watchedIds, position);
  const { state, rows } = await readRows(pool, { after: position, entries: entriesSql, touchedIds, access });
  const entries = rows.map((row) => ({ entry: toEntry(row), userIds: row.user_ids }));
  const page = toPage(state, entries, { after, last: entries.length < limit ? undefined : entries.at(-1)?.entry });
  return page.kind === 'gap' ? page : { ...page, touchedIds: state.touched_ids };
}

function toEntry(row: EntryRow): LogEntry {
  return {
    position: BigInt(row.position),
    tag: row.tag,
    deliveryId: row.delivery_id,
    notificationId: row.notification_id,
    userId: row.user_id,
    status: row.status,
    reason: row.reason,
    at: row.at,
  };
}

/** `last`: the last entry of a full page. */
function toPage<Entry>(
  state: LogState,
  entries: readonly Entry[],
  { after, last }: { after: Cursor | null; last: LogEntry | undefined },
): LogPage<Entry> | LogGap {
  if (after && !isPlaceOf(state, after)) return { kind: 'gap', oldest: beginningOf(state), ...accessOf(state) };
  const completeThrough = last ? { epoch: state.epoch, position: last.position, tag: last.tag } : headOf(state);
  return { kind: 'page', entries, completeThrough, hasMore: last !== undefined, ...accessOf(state) };
}

function accessOf(state: LogState): AccessAnswer {
  return { accessPosition: BigInt(state.access_position), changedSubjectIds: state.changed_subject_ids };
}

function headOf(log: LogState): Cursor {
  const { epoch, head_position: position, head_tag: tag } = log;
  return position === null || tag === null ? beginningOf(log) : { epoch, position: BigInt(position), tag };
}

/** Right before the oldest entry kept: the place of the last one that retention has dropped. */
function beginningOf({ epoch, oldest_position: oldestPosition, tag_before_oldest: tag }: LogState): Cursor {
  return { epoch, position: BigInt(oldestPosition) - 1n, tag };
}

/** Whether everything that came after `cursor` is still in the log, and is what came after it. */
function isPlaceOf(log: LogState, cursor: Cursor): boolean {
  const beginning = beginningOf(log);
  if (cursor.epoch !== log.epoch || cursor.position < beginning.position) return false;
  // Above the head there is no event, hence no tag.
  return cursor.tag === (cursor.position === beginning.position ? beginning.tag : log.after_tag);
}
