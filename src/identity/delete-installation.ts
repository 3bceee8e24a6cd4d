import type { Deployment } from '../deployment.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { forgetAbandonedClaims } from './identifier-claims.ts';
import { lockInstallation } from './lock-installation.ts';

/** Which installation is to be forgotten. */
export interface InstallationDeletion {
  principal: string;
  installationId: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Forgets an installation, with its tokens and its push recipient; its open streams end. What is queued for it is called
 * off, broadcasts too. Its user stays, also a lead that is left with nothing: deliveries, memberships and merge records name
 * it. An installation that registers under the same id afterwards is a new one.
 *
 * @throws DomainError `NO_REGISTRATION`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function deleteInstallation(
  deployment: Deployment,
  { principal, installationId, idempotencyKey }: InstallationDeletion,
): Promise<{ installationId: string }> {
  const about = { principal, mutation: 'deleteInstallation', idempotencyKey, input: { installationId } };
  return write(deployment, about, async (tx) => {
    const { current } = await lockInstallation(tx, installationId);
    const [recipient] = await tx.$queryRaw<{ id: string }[]>(
      sql`delete from recipients where installation_id = ${installationId}::uuid returning id`,
    );
    await tx.installation.delete({ where: { id: installationId } });
    await forgetAbandonedClaims(tx, [current.user.id]);
    if (recipient) {
      await tx.$executeRaw(sql`
        update deliveries set status = 'CANCELLED', reason = 'ADDRESS_GONE', status_at = now()
        where recipient_id = ${recipient.id}::uuid and status = 'QUEUED'
      `);
    }
    return { installationId };
  });
}
