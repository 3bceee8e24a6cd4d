import type pg from 'pg';
import { rotateLog } from '../../src/stream/log/rotate-log.ts';
import { createTestLog } from './log-events.ts';

/** A day on which no test has begun: 2024-10-04. */
export const firstDay = 20_000;

/**
 * Rotates the log as if it were `today`, with a retention for which each day has its partition and ten days are kept.
 * Returns what was logged.
 */
export async function rotateOn(pool: pg.Pool, today: number, { retentionDays = 10 } = {}): Promise<string[]> {
  const { log, sentences } = createTestLog();
  await rotateLog({ pool, log, retentionDays, today });
  return sentences;
}

/** The days of the partitions there are. */
export async function listDays(pool: pg.Pool): Promise<number[]> {
  const { rows } = await pool.query<{ day: number }>('select day from delivery_events_partitions()');
  return rows.map(({ day }) => day);
}
