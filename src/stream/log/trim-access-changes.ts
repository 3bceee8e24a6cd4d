import { type Database, sql } from '../../storage/database.ts';

/** @default 7 // days */
const keptDays = 7;

/**
 * Removes access changes that every gateway has heard of long ago, a bounded number at a time. A gateway that the database
 * has not answered for so long can have missed some. Safe to run in several processes at once.
 */
export async function trimAccessChanges(db: Pick<Database, '$executeRaw'>): Promise<void> {
  await db.$executeRaw(sql`
    delete from access_changes where position in (
      select position from access_changes where at < now() - make_interval(days => ${keptDays}::int)
      order by at limit 10000
      for update skip locked
    )
  `);
}
