import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { isNamed, lockUsers, type NamedUser } from './user-identity-store.ts';

/** An installation's user, and everybody who was locked with it. */
export interface LockedInstallation {
  current: NamedUser;
  users: Map<string, NamedUser>;
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
  if (!installation) throw new DomainError('NO_REGISTRATION', 'No such installation is registered.', ['installation']);
  const users = await lockUsers(tx, [installation.userId, ...otherUserIds]);
  const claimants = [...users.values()].filter((user) => !isNamed(user) && user.claims.length > 0);
  const rows = await tx.$queryRaw<{ id: string; user_id: string }[]>(sql`
    select id, user_id from installations
    where id = ${installationId}::uuid or user_id = any(${claimants.map(({ user }) => user.id)}::uuid[])
    order by id for no key update
  `);
  const current = users.get(installation.userId);
  const owner = rows.find(({ id }) => id === installationId)?.user_id;
  if (!current || owner !== installation.userId) throw new StaleReadError();
  return { current, users };
}
