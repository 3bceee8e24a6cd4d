import { hashSecret, newSecret } from '../apps/api-key.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** @default 30 // days */
const tokenDays = 30;
/** Older ones are forgotten: an installation needs one, and one more while it renews. @default 5 */
const tokensKept = 5;

/** A token that speaks for an installation until `expiresAt`. Shown once. */
export interface IssuedToken {
  token: string;
  expiresAt: Date;
}

/** Issues a token for an installation; earlier ones go on working until they expire. */
export async function issueInstallationToken(tx: Transaction, installationId: string): Promise<IssuedToken> {
  const token = newSecret('INSTALLATION');
  const [row] = await tx.$queryRaw<{ expires_at: Date }[]>(sql`
    insert into installation_tokens (secret_hash, installation_id, expires_at)
    values (${hashSecret(token)}, ${installationId}::uuid, now() + make_interval(days => ${tokenDays}::int))
    returning expires_at
  `);
  await tx.$executeRaw(sql`
    delete from installation_tokens where installation_id = ${installationId}::uuid and secret_hash not in (
      select secret_hash from installation_tokens where installation_id = ${installationId}::uuid
      order by created_at desc limit ${tokensKept}
    )
  `);
  if (!row) throw new Error('The new token was not returned.');
  return { token, expiresAt: row.expires_at };
}
