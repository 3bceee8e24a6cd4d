import { noRegistration } from '../installations/refresh-installation-token.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { isNamed, lockUsers, type NamedUser } from './user-identity-store.ts';

/** An installation's user, and everybody who was locked with it. */
export interface LockedInstallation {
  current: NamedUser;
  users: Map<string, NamedUser>;
  /** How many installations all of these users have together. */
  installationsCount: number;
}

/**
 * Locks an installation with its user and `otherUserIds`, and the installations that these may lose to somebody who is
 * verified to be called as they claim. Users first, then installations, both in id order: every verb takes its locks so.
 *
 * @throws DomainError `NO_REGISTRATION`. @throws StaleReadError when the installation changed its user meanwhile.
 */
export async function lockInstallation(
  tx: Transaction,
  installationId: string,
  otherUserIds: readonly string[] = [],
): Promise<LockedInstallation> {
  const installation = await tx.installation.findUnique({ where: { id: installationId } });
  if (!installation) throw noRegistration();
  const users = await lockUsers(tx, [installation.userId, ...otherUserIds]);
  const rows = await tx.$queryRaw<{ id: string; user_id: string; all_count: number }[]>(sql`
    select id, user_id, (select count(*)::int from installations where user_id = any(${[...users.keys()]}::uuid[])) as all_count
    from installations
    where id = ${installationId}::uuid or user_id = any(${claimantsOf(users.values())}::uuid[])
    order by id for no key update
  `);
  const current = users.get(installation.userId);
  const own = rows.find(({ id }) => id === installationId);
  if (!current || own?.user_id !== installation.userId) throw new StaleReadError();
  return { current, users, installationsCount: own.all_count };
}

/**
 * Refuses an installation that asks for something of another user's, as if that did not exist. The user is locked.
 *
 * @param actingInstallationId null: who asks may do so for every user.
 * @throws DomainError `NO_REGISTRATION`.
 */
export async function refuseStranger(
  tx: Transaction,
  actingInstallationId: string | null,
  userId: string,
): Promise<void> {
  if (actingInstallationId === null) return;
  const isTheirs = (await tx.installation.count({ where: { id: actingInstallationId, userId } })) > 0;
  if (!isTheirs) throw noRegistration();
}

/** Locks the installations that users, who are locked, may lose to somebody who is verified to be called as they claim. */
export async function lockClaimantsInstallations(tx: Transaction, users: Iterable<NamedUser>): Promise<void> {
  const claimants = claimantsOf(users);
  if (claimants.length === 0) return;
  await tx.$queryRaw(
    sql`select id from installations where user_id = any(${claimants}::uuid[]) order by id for no key update`,
  );
}

function claimantsOf(users: Iterable<NamedUser>): string[] {
  return [...users].filter((user) => !isNamed(user) && user.claims.length > 0).map(({ user }) => user.id);
}
