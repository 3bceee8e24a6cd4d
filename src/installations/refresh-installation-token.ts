import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import { type IssuedToken, issueInstallationToken } from './installation-token.ts';

/** Which installation asks for a new token, and the hash of the one that it asks with. */
export interface TokenRefresh {
  installationId: string;
  secretHash: Uint8Array;
}

/**
 * A new token for an installation, 30 days long. The one that asked goes on working until it expires.
 *
 * @throws DomainError `NO_REGISTRATION` when it was removed meanwhile.
 */
export async function refreshInstallationToken(
  { db }: Pick<Deployment, 'db'>,
  { installationId, secretHash }: TokenRefresh,
): Promise<IssuedToken> {
  return inTransaction(db, async (tx) => {
    const [installation] = await tx.$queryRaw<unknown[]>(
      sql`select id from installations where id = ${installationId}::uuid for key share`,
    );
    if (!installation) throw noRegistration();
    return issueInstallationToken(tx, installationId, secretHash);
  });
}

/** What is told of an installation that there is not, and of one that is not the caller's to name. */
export function noRegistration(): DomainError {
  return new DomainError('NO_REGISTRATION', 'No such installation is registered.', ['installation']);
}
