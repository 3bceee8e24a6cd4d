import type { Cipher } from '../storage/cipher.ts';
import type { Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { forgetAbandonedClaims, removeClaims } from './identifier-claims.ts';
import { detachAllInstallations } from './installation-owner.ts';
import { addIdentifiers, isNamed, type NamedUser, type OwnedIdentifier } from './user-identity-store.ts';

/** Who is verified to be called what. */
interface TakeIdentifiers {
  /** What they were not called before. */
  added: readonly OwnedIdentifier[];
  /** What they were called already. */
  confirmed: readonly OwnedIdentifier[];
  /** Users as they were locked, all claimants of these identifiers among them. */
  locked: ReadonlyMap<string, NamedUser>;
  /** Of the deployment. */
  cipher: Cipher;
}

/**
 * Gives users verified identifiers; whatever clients claimed of them ends (rule U11). A nameless lead that was claimed to be
 * called so loses its installations: each gets a fresh, empty lead. A named user, and the one who takes, only loses the
 * claim.
 *
 * @returns the ids of the installations that were taken away, whose deliveries are still to be cancelled.
 * @throws StaleReadError when somebody else took one of the identifiers, or claimed one, meanwhile.
 */
export async function takeIdentifiers(
  tx: Transaction,
  { added, confirmed, locked, cipher }: TakeIdentifiers,
): Promise<string[]> {
  await addIdentifiers(tx, cipher, added);
  // A claim that commits after the locks were taken stays a mere claim until the next such word.
  if (![...locked.values()].some(({ claims }) => claims.length > 0)) return [];
  const taken = [...added, ...confirmed];
  const ownerOf = new Map(taken.map(({ kind, value, userId }) => [`${kind} ${value}`, userId]));
  const ended = await removeClaims(tx, taken);
  const rivals = ended.filter(({ kind, value, userId }) => ownerOf.get(`${kind} ${value}`) !== userId);
  const users = [...new Set(rivals.map(({ userId }) => userId))].map((id) => {
    const user = locked.get(id);
    if (!user) throw new StaleReadError();
    return user;
  });
  const nameless = users.filter((user) => !isNamed(user)).map(({ user }) => user.id);
  if (nameless.length === 0) return [];
  const installationIds = await detachAllInstallations(tx, nameless);
  await forgetAbandonedClaims(tx, nameless);
  return installationIds;
}
