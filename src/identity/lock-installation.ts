import { noRegistration } from '../installations/refresh-installation-token.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import type { Identifier } from './identifier.ts';
import { type Concerned, lockConcerned } from './lock-concerned.ts';
import type { NamedUser } from './user-identity-store.ts';

/** An installation's user, and everybody who was locked with it. */
export interface LockedInstallation extends Omit<Concerned, 'ownerId'> {
  current: NamedUser;
}

/**
 * Locks an installation with its user and with everybody who is called any of `identifiers`, or claimed to be, as
 * {@link lockConcerned} does.
 *
 * @throws DomainError `NO_REGISTRATION`. @throws StaleReadError when the installation changed its user meanwhile.
 */
export async function lockInstallation(
  tx: Transaction,
  installationId: string,
  identifiers: readonly Identifier[] = [],
): Promise<LockedInstallation> {
  const { ownerId, ...concerned } = await lockConcerned(tx, { installationId, identifiers });
  if (ownerId === null) throw noRegistration();
  const current = concerned.users.get(ownerId);
  if (!current) throw new StaleReadError();
  return { current, ...concerned };
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
  const rows = await tx.$queryRaw<unknown[]>(
    sql`select id from installations where id = ${actingInstallationId}::uuid and user_id = ${userId}::uuid`,
  );
  if (rows.length === 0) throw noRegistration();
}
