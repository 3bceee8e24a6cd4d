import type { Channel } from '../generated/prisma/enums.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';

/** A notification, and what is not sent by at the moment. */
export interface Turn {
  notificationId: string;
  /** By which it goes at all; empty: by any. */
  channels: readonly Channel[];
  /** After how many seconds each channel that is paused or busy may be tried again. */
  blocked: ReadonlyMap<Channel, number>;
}

/** How long deliveries that others are sending are left alone: they may come back to the queue. @default 1 // second */
const othersSeconds = 1;

/** Whether nothing of it can be sent now, however much is due. */
export const isBlocked = ({ channels, blocked }: Omit<Turn, 'notificationId'>): boolean =>
  channels.length > 0 && channels.every((channel) => blocked.has(channel));

/**
 * When a notification's deliveries are to be looked at again; null: nothing is left to send. Costs a look at an index, however many
 * wait, unless some of its channels are blocked and others are not.
 */
export async function readNextTurn(db: Pick<Transaction, '$queryRaw'>, turn: Turn): Promise<Date | null> {
  const [row] = await db.$queryRaw<{ due_at: Date | null }[]>(sql`
    select least(
      (${firstDue(turn)}),
      (
        select now() + make_interval(secs => ${othersSeconds}) from notification_counts
        where notification_id = ${turn.notificationId}::uuid and status = 'SENDING' and current > 0
      )
    ) as due_at
  `);
  return row?.due_at ?? null;
}

function firstDue(turn: Turn): Sql {
  const { notificationId, blocked } = turn;
  const queued = sql`notification_id = ${notificationId}::uuid and status = 'QUEUED'`;
  const soonest = sql`select min(next_attempt_at) as at from deliveries where ${queued}`;
  if (blocked.size === 0) return soonest;
  const afterSeconds = (seconds: Sql) => sql`now() + make_interval(secs => ${seconds})`;
  if (isBlocked(turn)) {
    const wait = afterSeconds(sql`${Math.min(...blocked.values())}::float8`);
    return sql`select greatest(at, ${wait}) from (${soonest}) soonest where at is not null`;
  }
  return sql`
    select min(greatest(next_attempt_at, ${afterSeconds(sql`b.seconds`)}))
    from deliveries d
    left join unnest(${[...blocked.keys()]}::channel[], ${[...blocked.values()]}::float8[]) as b (channel, seconds) using (channel)
    where ${queued}
  `;
}
