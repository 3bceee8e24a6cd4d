import pg from 'pg';
import type { Logger } from '../../logger.ts';
import { sql } from '../../storage/database.ts';

/**
 * How many partitions hold what has to be kept. More would let go of events sooner after their time, and make each
 * read that is not about the log's end slower: it looks into every partition.
 */
const partitionsKept = 10;

/** How the partitions should change. A day is a number of days since 1970-01-01 (UTC). */
export interface Rotation {
  /** Whether today begins a partition. */
  readonly isDue: boolean;
  /** The day of the oldest partition to keep; null where none is to go. */
  readonly oldestDayKept: number | null;
}

/**
 * What the partitions that were begun on `days` (ascending) should become `today`, so that each event is kept for
 * `retentionDays` at least, and for a tenth and two days longer at most where this is asked every hour.
 */
export function decideRotation(
  days: readonly number[],
  { today, retentionDays }: { today: number; retentionDays: number },
): Rotation {
  const isDue = today >= (days.at(-1) ?? 0) + Math.ceil(retentionDays / partitionsKept);
  // All that a partition holds was written before the first day of the next one had ended.
  const oldestDayKept = days.find((_, index) => (days[index + 1] ?? today) + 1 + retentionDays > today) ?? null;
  return { isDue, oldestDayKept: oldestDayKept === days[0] ? null : oldestDayKept };
}

interface RotateOptions {
  pool: Pick<pg.Pool, 'query'>;
  log: Logger;
  /** How long events are kept at least; 1 to 3650. */
  retentionDays: number;
  /** Days since 1970-01-01 (UTC). @default the database's clock */
  today?: number;
}

/**
 * Begins the delivery log's next partition when it is due, and drops the partitions that are too old. Safe to run in
 * every worker at once. Readers and writers wait for either no longer than for a commit; while somebody holds the log
 * for half a second or more, that step is left to the next run.
 */
export async function rotateLog({ pool, log, retentionDays, today }: RotateOptions): Promise<void> {
  const { rows } = await pool.query<{ today: number; days: number[] }>(sql`
    select
      coalesce(${today ?? null}::integer, floor(extract(epoch from now()) / 86400)::integer) as today,
      array(select day from delivery_events_partitions()) as days`);
  const [state] = rows;
  if (!state) return;
  const { isDue, oldestDayKept } = decideRotation(state.days, { today: state.today, retentionDays });
  if (isDue) {
    await unlessBusy(log, () => pool.query(sql`select begin_delivery_events_partition(${state.today}::integer)`));
  }
  if (oldestDayKept !== null) {
    const dropped = await unlessBusy(log, () =>
      pool.query<{ partitions: string[] }>(
        sql`select drop_delivery_events_partitions(${oldestDayKept}::integer) as partitions`,
      ),
    );
    const partitions = dropped?.rows[0]?.partitions ?? [];
    if (partitions.length > 0) log.info({ partitions, retentionDays }, 'Delivery events that were too old are dropped');
  }
}

async function unlessBusy<Result>(log: Logger, step: () => Promise<Result>): Promise<Result | null> {
  try {
    return await step();
  } catch (error) {
    // 55P03 lock_not_available: the timeout has passed.
    if (!(error instanceof pg.DatabaseError) || error.code !== '55P03') throw error;
    log.info({}, 'Partitions of the delivery log are left as they are until later: somebody holds it for long');
    return null;
  }
}
