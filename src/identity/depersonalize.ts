import type { Deployment } from '../deployment.ts';
import { write } from '../storage/write.ts';
import { forgetAbandonedClaims } from './identifier-claims.ts';
import { cancelPersonTargetedDeliveries, detachInstallation } from './installation-owner.ts';
import { lockInstallation } from './lock-installation.ts';
import { isNamed } from './user-identity-store.ts';

/** Logs a person out of an installation. */
export interface DepersonalizeRequest {
  principal: string;
  installationId: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Takes an installation away from its user (rule U10, decision 9): it gets a fresh, empty lead, and nothing that is
 * targeted at the person reaches it from the commit on. Broadcasts still do. An installation that is
 * nobody's, not even by a client's word, stays as it is.
 *
 * @throws DomainError `NO_REGISTRATION`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function depersonalize(
  deployment: Deployment,
  request: DepersonalizeRequest,
): Promise<{ installationId: string }> {
  const { principal, idempotencyKey, installationId } = request;
  return write(
    deployment,
    { principal, mutation: 'depersonalize', idempotencyKey, input: { installationId } },
    async (tx) => {
      const { current } = await lockInstallation(tx, installationId);
      const userId = current.user.id;
      const isShared = (await tx.installation.count({ where: { userId } })) > 1;
      if (isNamed(current) || current.claims.length > 0 || isShared) {
        await detachInstallation(tx, installationId);
        await forgetAbandonedClaims(tx, [userId]);
        await cancelPersonTargetedDeliveries(tx, [installationId]);
      }
      return { installationId };
    },
  );
}
