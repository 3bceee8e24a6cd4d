import { hashSecret, newSecret } from '../apps/api-key.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** @default 30 // days */
const tokenDays = 30;
/** Newest ones that are remembered, also expired ones: an expired token still registers again. @default 5 */
const tokensKept = 5;

/** A token that speaks for an installation until `expiresAt`. Shown once. */
export interface IssuedToken {
  token: string;
  expiresAt: Date;
}

/**
 * Issues a token for an installation. Earlier ones go on working until they expire, but only the newest few are kept.
 *
 * @param usedTokenHash of the token that asked for it, which is kept too: the answer may be lost on its way, any number of
 * times, and the installation must not be lost with it.
 */
export async function issueInstallationToken(
  tx: Transaction,
  installationId: string,
  usedTokenHash: Uint8Array | null,
): Promise<IssuedToken> {
  const token = newSecret('INSTALLATION');
  const tokenHash = hashSecret(token);
  const [row] = await tx.$queryRaw<{ expires_at: Date }[]>(sql`
    insert into installation_tokens (secret_hash, installation_id, expires_at)
    values (${tokenHash}, ${installationId}::uuid, now() + make_interval(days => ${tokenDays}::int))
    returning expires_at
  `);
  await tx.$executeRaw(sql`
    delete from installation_tokens where installation_id = ${installationId}::uuid
      and secret_hash <> ${tokenHash} and secret_hash is distinct from ${usedTokenHash}
      and secret_hash not in (
        select secret_hash from installation_tokens where installation_id = ${installationId}::uuid
        order by created_at desc limit ${tokensKept}
      )
  `);
  if (!row) throw new Error('The new token was not returned.');
  return { token, expiresAt: row.expires_at };
}
