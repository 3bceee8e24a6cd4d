import type pg from 'pg';
import type { DeliveryEventStatus, DeliveryReason } from '../generated/prisma/enums.ts';
import { type Sql, sql } from '../storage/database.ts';
import type { Cursor } from './cursor.ts';

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

/**
 * What a stream is about: a notification's deliveries, a user's, that user's of that notification, or all there are. A
 * user stands for its survivor and for everybody merged into that one, as things are when the log is read.
 */
export interface Topic {
  readonly notificationId?: string;
  readonly userId?: string;
}

/** A place in `access_changes`, which tell whose rights have become less; in commit order. 0: before the first. */
export type AccessPosition = bigint;

/** Asks whose rights have become less behind a place: one subject's, or anybody's. */
export interface AccessQuestion {
  readonly subjectId?: string;
  readonly after: AccessPosition;
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

/** What `readLogTail` is to look for. */
export interface Tail {
  /** Whether to read all entries, whatever the two lists say. */
  readonly isEverything: boolean;
  readonly notificationIds: readonly string[];
  readonly userIds: readonly string[];
  /** Whether to tell whom an entry's user stands for. */
  readonly withUsers: boolean;
  /** Notifications of which only whether there is anything new is asked. */
  readonly watchedIds: readonly string[];
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

type Queryable = Pick<pg.Pool, 'query'>;

/** The first row of each read. */
interface StateRow {
  position: null;
  epoch: string;
  oldest_position: string;
  tag_before_oldest: number;
  head_position: string | null;
  head_tag: number | null;
  after_tag: number | null;
  touched_ids: string[];
  access_position: string;
  changed_subject_ids: string[];
}

interface EntryRow {
  position: string;
  tag: number;
  delivery_id: string;
  notification_id: string;
  user_id: string | null;
  status: DeliveryEventStatus;
  reason: DeliveryReason | null;
  at: Date;
  /** Read for a tail only. */
  user_ids: string[];
}

/** Where the log ends now. An empty log ends right before its oldest position. */
export async function readLogHead(pool: Queryable, access?: AccessQuestion): Promise<LogHead> {
  const nothing = sql`select null::bigint as position where false`;
  const { state } = await read(pool, { after: 0n, entries: nothing, access });
  return { ...headOf(state), ...accessOf(state), oldestPosition: BigInt(state.oldest_position) };
}

/**
 * At most `limit` entries of the topic behind `after`, or, where that is null, from the oldest kept. A gap when `after`
 * belongs to another epoch, lies above the head or below what retention has kept, or is another event's place now.
 */
export async function readLogPage(
  pool: Queryable,
  topic: Topic,
  { after, limit, access }: { after: Cursor | null; limit: number; access?: AccessQuestion | undefined },
): Promise<LogPage | LogGap> {
  const position = after?.position ?? 0n;
  const { state, rows } = await read(pool, { after: position, entries: entriesOf(topic, position, limit), access });
  const entries = rows.map(toEntry);
  return toPage(state, entries, { after, last: entries.length < limit ? undefined : entries.at(-1) });
}

/**
 * At most `limit` new entries behind `after` for many topics at once. It walks along the new end of the log instead of
 * looking each topic up, so that its cost grows with what is new and not with how many topics there are.
 */
export async function readLogTail(
  pool: Queryable,
  tail: Tail,
  { after, limit, access }: { after: Cursor; limit: number; access?: AccessQuestion | undefined },
): Promise<TailPage | LogGap> {
  const touchedIds = sql`array(
    select watched.id from unnest(${[...tail.watchedIds]}::uuid[]) watched(id)
    where exists (select from delivery_events where notification_id = watched.id and position > ${after.position})
  )`;
  const entriesSql = tailEntries(tail, after.position, limit);
  const { state, rows } = await read(pool, { after: after.position, entries: entriesSql, touchedIds, access });
  const entries = rows.map((row) => ({ entry: toEntry(row), userIds: row.user_ids }));
  const page = toPage(state, entries, { after, last: entries.length < limit ? undefined : entries.at(-1)?.entry });
  return page.kind === 'gap' ? page : { ...page, touchedIds: state.touched_ids };
}

const noIds = sql`'{}'::uuid[]`;

function changedSubjects({ subjectId, after }: AccessQuestion): Sql {
  const condition = subjectId === undefined ? sql`true` : sql`subject_id = ${subjectId}::uuid`;
  return sql`array(select distinct subject_id from access_changes where position > ${after} and ${condition})`;
}

const entryColumns = sql`e.position, e.tag, e.delivery_id, e.notification_id, e.user_id, e.status, e.reason, e.at`;

interface Reading {
  after: bigint;
  entries: Sql;
  touchedIds?: Sql;
  access?: AccessQuestion | undefined;
}

/** The state of the log, beside the event at `after`, and the rows of `entries` in order: one statement, one snapshot. */
async function read(pool: Queryable, { after, entries, touchedIds = noIds, access }: Reading) {
  // A place of the log is not above its head, so that the partitions below the place need not be looked into for it.
  const statement = sql`
    with head as (select position, tag from delivery_events where position >= ${after} order by position desc limit 1),
    state as (
      select
        epoch,
        oldest_position,
        tag_before_oldest,
        head.position as head_position,
        head.tag as head_tag,
        (select tag from delivery_events where position = ${after}) as after_tag,
        ${touchedIds} as touched_ids,
        coalesce((select max(position) from access_changes), 0) as access_position,
        ${access ? changedSubjects(access) : noIds} as changed_subject_ids
      from delivery_log left join head on true
    ),
    entries as (${entries})
    select * from state full join entries on false
    order by entries.position nulls first`;
  const { rows } = await pool.query<StateRow | EntryRow>(statement);
  const [state, ...rest] = rows;
  if (state?.position !== null) throw new Error('The delivery log cannot be read: its row in delivery_log is missing.');
  return { state, rows: rest.filter((row) => row.position !== null) };
}

/** One topic's entries, by the index that has them in order: replaying a little costs little in a log of any size. */
function entriesOf({ notificationId, userId }: Topic, after: bigint, limit: number): Sql {
  if (userId !== undefined) {
    const ofNotification = notificationId === undefined ? sql`true` : sql`notification_id = ${notificationId}::uuid`;
    return sql`
      select ${entryColumns}
      from (
        select ${userId}::uuid as id
        union
        select family.id
        from users family, (select coalesce(merged_into_id, id) as id from users where id = ${userId}::uuid) survivor
        where family.id = survivor.id or family.merged_into_id = survivor.id
      ) family
      cross join lateral (
        select * from delivery_events
        where user_id = family.id and position > ${after} and ${ofNotification}
        order by position
        limit ${limit}
      ) e
      order by e.position
      limit ${limit}`;
  }
  const condition = notificationId === undefined ? sql`true` : sql`e.notification_id = ${notificationId}::uuid`;
  return sql`
    select ${entryColumns}
    from delivery_events e
    where ${condition} and e.position > ${after}
    order by e.position
    limit ${limit}`;
}

function tailEntries({ isEverything, notificationIds, userIds, withUsers }: Tail, after: bigint, limit: number): Sql {
  const family = sql`
    select e.user_id as id where e.user_id is not null
    union
    select family.id
    from users own
    join users family on family.id = coalesce(own.merged_into_id, own.id) or family.merged_into_id = coalesce(own.merged_into_id, own.id)
    where own.id = e.user_id`;
  const condition = isEverything
    ? sql`true`
    : sql`(e.notification_id = any(${[...notificationIds]}::uuid[]) or who.ids && ${[...userIds]}::uuid[])`;
  // "offset 0" keeps the planner from looking the family up twice.
  return sql`
    select ${entryColumns}, who.ids as user_ids
    from delivery_events e
    cross join lateral (select ${withUsers ? sql`array(${family})` : sql`'{}'::uuid[]`} as ids offset 0) who
    where e.position > ${after} and ${condition}
    order by e.position
    limit ${limit}`;
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
  state: StateRow,
  entries: readonly Entry[],
  { after, last }: { after: Cursor | null; last: LogEntry | undefined },
): LogPage<Entry> | LogGap {
  if (after && !isPlaceOf(state, after)) return { kind: 'gap', oldest: beginningOf(state), ...accessOf(state) };
  const completeThrough = last ? { epoch: state.epoch, position: last.position, tag: last.tag } : headOf(state);
  return { kind: 'page', entries, completeThrough, hasMore: last !== undefined, ...accessOf(state) };
}

function accessOf(state: StateRow): AccessAnswer {
  return { accessPosition: BigInt(state.access_position), changedSubjectIds: state.changed_subject_ids };
}

function headOf(log: StateRow): Cursor {
  const { epoch, head_position: position, head_tag: tag } = log;
  return position === null || tag === null ? beginningOf(log) : { epoch, position: BigInt(position), tag };
}

/** Right before the oldest entry kept: the place of the last one that retention has dropped. */
function beginningOf({ epoch, oldest_position: oldestPosition, tag_before_oldest: tag }: StateRow): Cursor {
  return { epoch, position: BigInt(oldestPosition) - 1n, tag };
}

/** Whether everything that came after `cursor` is still in the log, and is what came after it. */
function isPlaceOf(log: StateRow, cursor: Cursor): boolean {
  const beginning = beginningOf(log);
  if (cursor.epoch !== log.epoch || cursor.position < beginning.position) return false;
  // Above the head there is no event, hence no tag.
  return cursor.tag === (cursor.position === beginning.position ? beginning.tag : log.after_tag);
}
