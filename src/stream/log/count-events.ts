import type pg from 'pg';
import type { Channel, DeliveryEventStatus } from '../../generated/prisma/enums.ts';
import { sql } from '../../storage/database.ts';
import type { Cursor } from './cursor.ts';
import { readLogHead } from './log.ts';

/** @default 100_000 // events a read: what a second of the fastest deployment writes, several times over */
const eventsPerRead = 100_000;

/** How many events of a kind a stretch of the log has. */
export interface EventCount {
  /** Null: nobody known was addressed, or the delivery is gone. */
  channel: Channel | null;
  status: DeliveryEventStatus;
  count: number;
}

/** How far the log has been counted. */
export type LogPlace = Pick<Cursor, 'epoch' | 'position'>;

/**
 * Counts what has happened behind `after`, at most {@link eventsPerRead} events; `through` is where to go on. Of a log that
 * was replaced, nothing is counted, and `through` is the new one's head.
 */
export async function countEvents(
  pool: Pick<pg.Pool, 'query'>,
  after: LogPlace,
): Promise<{ counts: EventCount[]; through: LogPlace }> {
  const head = await readLogHead(pool);
  const { epoch } = head;
  if (epoch !== after.epoch || head.position < after.position) return { counts: [], through: head };
  const { rows } = await pool.query<EventCount & { through: string }>(sql`
    select d.channel::text as channel, e.status::text as status, count(*)::int as count, max(max(e.position)) over ()::text as through
    from (
      select position, delivery_id, status from delivery_events
      where position > ${after.position} and position <= ${head.position}
      order by position
      limit ${eventsPerRead}
    ) e
    left join deliveries d on d.id = e.delivery_id
    group by d.channel, e.status
  `);
  const counts = rows.map(({ channel, status, count }) => ({ channel, status, count }));
  const counted = counts.reduce((sum, { count }) => sum + count, 0);
  const [row] = rows;
  return { counts, through: row && counted === eventsPerRead ? { epoch, position: BigInt(row.through) } : head };
}

/** @default 10_000 // events; with more behind it, a reader is far behind, and how far is no matter */
const lagEventsMax = 10_000;

/** How far behind the log's head a reader is. */
export interface LogLag {
  /** Events that it has not read; at most {@link lagEventsMax} are counted. */
  events: number;
  /** How long ago the oldest of them happened; 0: there is none. */
  seconds: number;
}

/** How far a reader that stands at `position` is behind. */
export async function measureLag(pool: Pick<pg.Pool, 'query'>, position: bigint): Promise<LogLag> {
  const { rows } = await pool.query<LogLag>(sql`
    select count(*)::int as events, coalesce(greatest(0, extract(epoch from clock_timestamp() - min(at))), 0)::float8 as seconds
    from (select at from delivery_events where position > ${position} order by position limit ${lagEventsMax}) unread
  `);
  return rows[0] ?? { events: 0, seconds: 0 };
}
