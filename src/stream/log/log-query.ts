import type pg from 'pg';
import type { DeliveryEventStatus, DeliveryReason } from '../../generated/prisma/enums.ts';
import { type Sql, sql } from '../../storage/database.ts';

// What can be asked of the log, and the one statement that asks it.

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

/** The state of the log at the moment of a read. */
export interface LogState {
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

/** An entry as PostgreSQL writes it. */
export interface EntryRow {
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

const noIds = sql`'{}'::uuid[]`;

function changedSubjects({ subjectId, after }: AccessQuestion): Sql {
  const condition = subjectId === undefined ? sql`true` : sql`subject_id = ${subjectId}::uuid`;
  return sql`array(select distinct subject_id from access_changes where position > ${after} and ${condition})`;
}

const entryColumns = sql`e.position, e.tag, e.delivery_id, e.notification_id, e.user_id, e.status, e.reason, e.at`;

interface Reading {
  after: bigint;
  /** Selects at most a page of entries. Absent: none. */
  entries?: Sql;
  /** Which notifications have something new. */
  touchedIds?: Sql;
  access?: AccessQuestion | undefined;
}

const noEntries = sql`select null::bigint as position where false`;

/** The state of the log, beside the event at `after`, and the rows of `entries` in order: one statement, one snapshot. */
export async function readRows(
  pool: Pick<pg.Pool, 'query'>,
  { after, entries = noEntries, touchedIds = noIds, access }: Reading,
): Promise<{ state: LogState; rows: EntryRow[] }> {
  // A place of the log is not above its head, so that the partitions below the place need not be looked into for it. The
  // state is one column, and its positions are text, as JSON's numbers end before theirs.
  const statement = sql`
    with head as (select position, tag from delivery_events where position >= ${after} order by position desc limit 1),
    state as (
      select
        epoch,
        oldest_position::text,
        tag_before_oldest,
        head.position::text as head_position,
        head.tag as head_tag,
        (select tag from delivery_events where position = ${after}) as after_tag,
        ${touchedIds} as touched_ids,
        coalesce((select max(position) from access_changes), 0)::text as access_position,
        ${access ? changedSubjects(access) : noIds} as changed_subject_ids
      from delivery_log left join head on true
    ),
    entries as (${entries})
    select to_jsonb(state) as state, entries.* from state full join entries on false
    order by entries.position nulls first`;
  const { rows } = await pool.query<EntryRow & { state: LogState | null }>(statement);
  const state = rows.shift()?.state;
  if (!state) throw new Error('The delivery log cannot be read: its row in delivery_log is missing.');
  return { state, rows };
}

/** One topic's entries, by the index that has them in order: replaying a little costs little in a log of any size. */
export function entriesOf({ notificationId, userId }: Topic, after: bigint, limit: number): Sql {
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

export function tailEntries(
  { isEverything, notificationIds, userIds, withUsers }: Tail,
  after: bigint,
  limit: number,
): Sql {
  let isWanted = sql`(e.notification_id = any(${[...notificationIds]}::uuid[]) or who.ids && ${[...userIds]}::uuid[])`;
  if (isEverything) isWanted = sql`true`;
  else if (notificationIds.length + userIds.length === 0) isWanted = sql`false`;
  const family = sql`
    select e.user_id as id where e.user_id is not null
    union
    select family.id
    from users own
    join users family on family.id = coalesce(own.merged_into_id, own.id) or family.merged_into_id = coalesce(own.merged_into_id, own.id)
    where own.id = e.user_id`;
  // "offset 0" keeps the planner from looking the family up twice.
  return sql`
    select ${entryColumns}, who.ids as user_ids
    from delivery_events e
    cross join lateral (select ${withUsers ? sql`array(${family})` : sql`'{}'::uuid[]`} as ids offset 0) who
    where e.position > ${after} and ${isWanted}
    order by e.position
    limit ${limit}`;
}

/** Of the notifications, those that have entries behind `after`. */
export function touchedAmong(notificationIds: readonly string[], after: bigint): Sql {
  return sql`array(
    select watched.id from unnest(${[...notificationIds]}::uuid[]) watched(id)
    where exists (select from delivery_events where notification_id = watched.id and position > ${after})
  )`;
}
