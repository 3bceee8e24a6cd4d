import { z } from 'zod';
import { idSchema } from '../ids.ts';
import { addJobs, type JobOptions } from '../queue/job.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';

/**
 * What is enqueued when the deliveries that a pause has put off are to be looked at, for whoever makes them due
 * (`notifications/resume-put-off.job.ts`).
 */
export const resumePutOffTask = { name: 'resume-put-off', payload: z.object({ pauseId: idSchema }) };

/** When: absent, at once. */
type When = Pick<JobOptions, 'runAt'>;

/** Has what these pauses have put off looked at. */
export async function resumePutOff(
  tx: Pick<Transaction, '$queryRaw'>,
  pauseIds: readonly string[],
  when: When = {},
): Promise<void> {
  if (pauseIds.length === 0) return;
  const wanted = pauseIds.map((pauseId) => ({ payload: { pauseId }, key: `resume put off ${pauseId}`, ...when }));
  await addJobs(tx, resumePutOffTask, wanted);
}

/**
 * Ends pauses, with what they have put off: who is putting something off holds its pause until that is written, so that
 * nothing is missed.
 *
 * @param which a condition on `channel_pauses`
 * @returns how many there were.
 */
export async function endPauses(tx: Pick<Transaction, '$queryRaw'>, which: Sql, when: When = {}): Promise<number> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    with held as (select id from channel_pauses where ${which} order by id for update)
    delete from channel_pauses p using held where p.id = held.id
    returning p.id
  `);
  const ids = rows.map(({ id }) => id);
  await resumePutOff(tx, ids, when);
  return rows.length;
}
