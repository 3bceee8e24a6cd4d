import { type Database, sql } from '../storage/database.ts';
import type { Context } from './context.ts';
import type { Loader } from './loaders.ts';

/** Whose an installation is now. */
export const ownerOfInstallation: Loader<string, string | null> = {
  async load(db: Database, ids) {
    const rows = await db.$queryRaw<{ id: string; user_id: string }[]>(sql`
      select id, user_id from installations where id = any(${ids}::uuid[])
    `);
    const owners = new Map(rows.map((row) => [row.id, row.user_id]));
    return ids.map((id) => owners.get(id) ?? null);
  },
};

/**
 * Whether the caller may see what belongs to a user: a server key may see everyone's, an installation its present user's.
 * Asked anew after each write, since that may change whose an installation is.
 */
export async function mayReadUser(context: Context, userId: string | null): Promise<boolean> {
  const { caller, loaders, registeredInstallationIds } = context;
  if (caller?.kind === 'SERVER') return true;
  if (userId === null) return false;
  const own = caller?.kind === 'INSTALLATION' && !caller.isExpired ? [caller.installationId] : [];
  const owners = await loaders.loadMany(ownerOfInstallation, [...own, ...registeredInstallationIds]);
  return owners.includes(userId);
}

/** `row` if the caller may see what belongs to its user, else null, as if it did not exist. */
export async function visible<Row>(
  context: Context,
  row: Row | null,
  userId: (row: Row) => string | null,
): Promise<Row | null> {
  return row !== null && (await mayReadUser(context, userId(row))) ? row : null;
}
