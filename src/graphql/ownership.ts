import { memberSql } from '../segments/known-segments.ts';
import { type Database, sql } from '../storage/database.ts';
import type { Context, Grant } from './context.ts';
import type { Loader } from './loaders.ts';
import { refuseCaller } from './refuse-caller.ts';
import { isScoped, mayReadAll } from './rights.ts';

/** Whose an installation is now. */
const ownerOfInstallation: Loader<string, string | null> = {
  async load(db: Database, ids) {
    const rows = await db.$queryRaw<{ id: string; user_id: string }[]>(sql`
      select id, user_id from installations where id = any(${ids}::uuid[])
    `);
    const owners = new Map(rows.map((row) => [row.id, row.user_id]));
    return ids.map((id) => owners.get(id) ?? null);
  },
};

/** Whose the installation that calls is. @throws GraphQLError `UNAUTHENTICATED` for other callers. */
export async function getOwnUserId({ caller, loaders }: Context): Promise<string> {
  const own = caller?.kind === 'INSTALLATION' ? await loaders.load(ownerOfInstallation, caller.installationId) : null;
  if (own === null) throw refuseCaller(null);
  return own;
}

/** An installation, and a user by the id from before or after a merge. */
interface Belonging {
  readonly installationId: string;
  readonly userId: string;
}

const identityOf = ({ installationId, userId }: Belonging) => `${installationId} ${userId}`;

/** Whether an installation is that user's now. A merge changes both: only one statement sees both as of one moment. */
const isOfUser: Loader<Belonging, boolean> = {
  identity: identityOf,
  async load(db, asked) {
    const installationIds = [...new Set(asked.map(({ installationId }) => installationId))];
    const userIds = [...new Set(asked.map(({ userId }) => userId))];
    const rows = await db.$queryRaw<{ installation_id: string; user_id: string }[]>(sql`
      select i.id as installation_id, u.id as user_id
      from installations i join users u on i.user_id = coalesce(u.merged_into_id, u.id)
      where i.id = any(${installationIds}::uuid[]) and u.id = any(${userIds}::uuid[])
    `);
    const found = new Set(rows.map((row) => identityOf({ installationId: row.installation_id, userId: row.user_id })));
    return asked.map((belonging) => found.has(identityOf(belonging)));
  },
};

/** A user, and what a partner's operation is limited to. */
interface InScope extends Pick<Grant, 'scopeAppId' | 'scopeSegmentId'> {
  readonly userId: string;
}

/** Whether a user, by the id from before or after a merge, is one of those that a scope names. */
const isInScope: Loader<InScope, boolean> = {
  identity: ({ userId, scopeAppId, scopeSegmentId }) => `${userId} ${scopeAppId} ${scopeSegmentId}`,
  async load(db, asked) {
    // One operation has one scope.
    const [{ scopeAppId, scopeSegmentId } = { scopeAppId: null, scopeSegmentId: null }] = asked;
    const userIds = [...new Set(asked.map(({ userId }) => userId))];
    const isMember = scopeSegmentId === null ? sql`true` : await memberSql(db, scopeSegmentId);
    const rows = await db.$queryRaw<{ id: string }[]>(sql`
      select asked.id from users asked join users u on u.id = coalesce(asked.merged_into_id, asked.id)
      where asked.id = any(${userIds}::uuid[])
        and (${scopeAppId}::uuid is null or exists (
          select from installations i where i.user_id = u.id and i.app_id = ${scopeAppId}::uuid
        ))
        and ${isMember}
    `);
    const found = new Set(rows.map(({ id }) => id));
    return asked.map(({ userId }) => found.has(userId));
  },
};

/**
 * Whether the caller may see what belongs to a user, or to the one into whom that was merged: server and dashboard keys may
 * see everyone's, a partner's operation that of those whom its scope names, an installation its present user's. Asked anew
 * after each write, since that may change whose an installation is.
 */
export async function mayReadUser(context: Context, userId: string | null): Promise<boolean> {
  const { caller, operation, loaders, registeredInstallationIds } = context;
  if (mayReadAll(context)) return true;
  if (userId === null) return false;
  if (operation && isScoped(context)) {
    const { scopeAppId, scopeSegmentId } = operation;
    if (await loaders.load(isInScope, { userId, scopeAppId, scopeSegmentId })) return true;
  }
  const own = caller?.kind === 'INSTALLATION' && !caller.isExpired ? [caller.installationId] : [];
  const asked = [...own, ...registeredInstallationIds].map((installationId) => ({ installationId, userId }));
  return (await loaders.loadMany(isOfUser, asked)).includes(true);
}

/** `row` if the caller may see what belongs to its user, else null, as if it did not exist. */
export async function visible<Row>(
  context: Context,
  row: Row | null,
  userId: (row: Row) => string | null,
): Promise<Row | null> {
  return row !== null && (await mayReadUser(context, userId(row))) ? row : null;
}
