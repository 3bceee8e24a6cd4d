import type { Deployment } from '../deployment.ts';
import { noRegistration } from '../installations/refresh-installation-token.ts';
import { sql } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import { lockUsers } from './user-identity-store.ts';

/** Says whether an installation is its user's primary one in its app. */
export interface PrimaryRequest {
  principal: string;
  installationId: string;
  isPrimary: boolean;
  /** The installation that asks, which may say it of those of its own user. Null: who asks may say it of any. */
  actingInstallationId: string | null;
  idempotencyKey?: string | null | undefined;
}

/**
 * Makes an installation its user's primary one in its app, in the place of whichever was (rule I2), or makes it none.
 *
 * @throws DomainError `NO_REGISTRATION`, also of an installation that is another user's; `IDEMPOTENCY_KEY_REUSED`.
 */
export async function setPrimaryInstallation(
  deployment: Deployment,
  request: PrimaryRequest,
): Promise<{ installationId: string }> {
  const { principal, idempotencyKey, actingInstallationId, ...input } = request;
  const { installationId, isPrimary } = request;
  return write(deployment, { principal, mutation: 'setPrimaryInstallation', idempotencyKey, input }, async (tx) => {
    const [installation] = await tx.$queryRaw<{ user_id: string; app_id: string }[]>(
      sql`select user_id, app_id from installations where id = ${installationId}::uuid`,
    );
    if (!installation) throw noRegistration();
    const { user_id: userId, app_id: appId } = installation;
    await lockUsers(tx, [userId]);
    const rows = await tx.$queryRaw<{ id: string }[]>(
      sql`select id from installations where user_id = ${userId}::uuid order by id for no key update`,
    );
    if (!rows.some(({ id }) => id === installationId)) throw new StaleReadError();
    if (actingInstallationId !== null && !rows.some(({ id }) => id === actingInstallationId)) throw noRegistration();
    // The index that allows one primary installation is looked at row by row: the old one goes first.
    await tx.$executeRaw(sql`
      update installations set is_primary_device = false
      where user_id = ${userId}::uuid and app_id = ${appId}::uuid and is_primary_device
        and (id = ${installationId}::uuid) <> ${isPrimary}
    `);
    if (isPrimary) {
      await tx.$executeRaw(sql`update installations set is_primary_device = true where id = ${installationId}::uuid`);
    }
    return { installationId };
  });
}
