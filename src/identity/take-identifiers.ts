import type { Cipher } from '../storage/cipher.ts';
import type { Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import type { Identifier } from './identifier.ts';
import { forgetAbandonedClaims, removeClaims } from './identifier-claims.ts';
import { detachAllInstallations } from './installation-owner.ts';
import { addIdentifiers, isNamed, type NamedUser } from './user-identity-store.ts';

/** Who is verified to be called so. */
interface TakeIdentifiers {
  userId: string;
  identifiers: readonly Identifier[];
  /** Users as they were locked, all claimants of `identifiers` among them. */
  locked: ReadonlyMap<string, NamedUser>;
  /** Of the deployment. */
  cipher: Pick<Cipher, 'hash'>;
}

/**
 * Gives a user verified identifiers; whatever clients claimed of them ends (rule U11). A nameless lead that was claimed to be
 * called so loses its installations: each gets a fresh, empty lead. A named user, and the one who takes, only loses the
 * claim.
 *
 * @returns the ids of the installations that were taken away, whose deliveries are still to be cancelled.
 * @throws StaleReadError when somebody else took one of the identifiers, or claimed one, meanwhile.
 */
export async function takeIdentifiers(
  tx: Transaction,
  { userId, identifiers, locked, cipher }: TakeIdentifiers,
): Promise<string[]> {
  if (!(await addIdentifiers(tx, { userId, identifiers, cipher }))) throw new StaleReadError();
  const claimants = (await removeClaims(tx, identifiers)).filter((id) => id !== userId);
  const users = claimants.flatMap((id) => locked.get(id) ?? []);
  if (users.length < claimants.length) throw new StaleReadError();
  const rivals = users.filter((user) => !isNamed(user)).map(({ user }) => user.id);
  if (rivals.length === 0) return [];
  const installationIds = await detachAllInstallations(tx, rivals);
  await forgetAbandonedClaims(tx, rivals);
  return installationIds;
}
