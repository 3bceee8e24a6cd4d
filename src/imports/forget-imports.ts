import { type Database, sql } from '../storage/database.ts';

/** How long an import can be undone, and its refusals are told. @default 30 // days */
const importKeptDays = 30;

/**
 * Forgets what undos would need, and what was refused, of imports that are older than 30 days, a bounded number of rows at a
 * time. The imports themselves stay, with their counts.
 */
export async function forgetImports(db: Pick<Database, '$executeRaw'>): Promise<void> {
  const old = sql`select id from imports where created_at < now() - make_interval(days => ${importKeptDays}::int)`;
  await db.$executeRaw(sql`
    delete from import_changes where (user_id, import_id) in (
      select user_id, import_id from import_changes where import_id in (${old}) limit 10000 for update skip locked
    )
  `);
  await db.$executeRaw(sql`
    delete from import_refusals where (import_id, line_number) in (
      select import_id, line_number from import_refusals where import_id in (${old}) limit 10000 for update skip locked
    )
  `);
}
