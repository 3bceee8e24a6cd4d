import type { Deployment } from '../deployment.ts';
import { addSuppressions } from '../recipients/suppressions.ts';
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
 * Forgets an installation, with its tokens and its push recipient; its open streams end. What is queued for it ends as
 * `ADDRESS_GONE`, broadcasts too. An opt-out stays as a suppression of its address. Its user stays, also a lead that is left
 * with nothing: deliveries, memberships and merge records name it. An installation that registers under the same id
 * afterwards is a new one.
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
    const [recipient] = await tx.$queryRaw<RemovedRecipient[]>(sql`
      with recipient as (
        delete from recipients where installation_id = ${installationId}::uuid returning id, is_subscribed
      ),
      installation as (delete from installations where id = ${installationId}::uuid returning address_hash)
      select id, is_subscribed, address_hash from recipient, installation
    `);
    if (recipient?.address_hash && !recipient.is_subscribed) {
      await addSuppressions(tx, [{ channel: 'PUSH', addressHash: recipient.address_hash }]);
    }
    await forgetAbandonedClaims(tx, [current.user.id]);
    // What is claimed already, its worker ends so too: it finds no recipient.
    await tx.$executeRaw(sql`
      update deliveries set status = 'DISCARDED', reason = 'ADDRESS_GONE', status_at = now()
      where recipient_id = ${recipient?.id ?? null}::uuid and status = 'QUEUED'
    `);
    return { installationId };
  });
}

interface RemovedRecipient {
  id: string;
  is_subscribed: boolean;
  address_hash: Uint8Array | null;
}
