import type pg from 'pg';
import type { DeliveryStatus } from '../generated/prisma/enums.ts';
import { sql } from '../storage/database.ts';

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
  /** Fan-out is finished and no delivery is queued or being sent. Receipts may still come. */
  readonly isComplete: boolean;
}

interface CountRow {
  id: string;
  is_fanned_out: boolean;
  status: DeliveryStatus | null;
  current: number | null;
  reached: number | null;
}

/** A notification's totals, from its counters. Null when there is no such notification. */
export async function readProgress(pool: Pick<pg.Pool, 'query'>, notificationId: string): Promise<Progress | null> {
  const [progress] = await readProgressOf(pool, [notificationId]);
  return progress ?? null;
}

/** The totals of several notifications, in the order of `notificationIds`, by one statement. */
export async function readProgressOf(
  pool: Pick<pg.Pool, 'query'>,
  notificationIds: readonly string[],
): Promise<(Progress | null)[]> {
  const { rows } = await pool.query<CountRow>(sql`
    select notifications.id, fan_out_finished_at is not null as is_fanned_out, counts.status, counts.current, counts.reached
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
