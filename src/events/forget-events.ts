import { type Database, sql } from '../storage/database.ts';

/** @default 10_000 // events a statement */
const eventsPerPage = 10_000;

/**
 * Removes events that were tracked longer ago than they are kept, a page at a time, until the last or a stop. Their ids say when
 * that was (RFC 9562, 5.7), so that no index is needed. Safe to run in several processes at once.
 */
export async function forgetEvents(
  db: Pick<Database, '$executeRaw'>,
  { keptDays, signal }: { keptDays: number; signal: AbortSignal },
): Promise<void> {
  let count = eventsPerPage;
  while (count === eventsPerPage && !signal.aborted) {
    count = await db.$executeRaw(sql`
      delete from tracked_events where id in (
        select id from tracked_events
        where id < rpad(
          lpad(to_hex((extract(epoch from now() - make_interval(days => ${keptDays}::int)) * 1000)::bigint), 12, '0'), 32, '0'
        )::uuid
        order by id limit ${eventsPerPage}
        for update skip locked
      )
    `);
  }
}
