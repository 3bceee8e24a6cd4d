import type { Deployment } from '../../deployment.ts';
import { write } from '../../storage/write.ts';
import { forgetAbandonedClaims } from '../identifier-claims.ts';
import { cancelPersonTargetedDeliveries, detachInstallation } from '../installation-owner.ts';
import { lockInstallation, refuseStranger } from '../lock-installation.ts';
import { isNamed } from '../user-identity-store.ts';

/** Logs a person out of an installation. */
export interface DepersonalizeRequest {
  principal: string;
  /** What asks for it: the installation itself, or another one of the same user. */
  mutation: 'depersonalize' | 'depersonalizeInstallation';
  installationId: string;
  /** The installation that asks, which may log out those of its own user. Null: who asks may log out any. */
  actingInstallationId: string | null;
  idempotencyKey?: string | null | undefined;
}

/**
 * Takes an installation away from its user (rule U10, decision 9): it gets a fresh, empty lead, and nothing that is
 * targeted at the person reaches it from the commit on; what was being handed to its push service at that moment cannot be
 * called back. Broadcasts still do. An installation that is nobody's, not even by a client's word, stays as it is.
 *
 * @throws DomainError `NO_REGISTRATION`, also of an installation that is another user's; `IDEMPOTENCY_KEY_REUSED`.
 */
export async function depersonalize(
  deployment: Deployment,
  request: DepersonalizeRequest,
): Promise<{ installationId: string }> {
  const { principal, mutation, idempotencyKey, installationId, actingInstallationId } = request;
  return write(deployment, { principal, mutation, idempotencyKey, input: { installationId } }, async (tx) => {
    const { current, installationsCount } = await lockInstallation(tx, installationId);
    const userId = current.user.id;
    if (actingInstallationId !== installationId) await refuseStranger(tx, actingInstallationId, userId);
    if (isNamed(current) || current.claims.length > 0 || installationsCount > 1) {
      await detachInstallation(tx, installationId);
      await forgetAbandonedClaims(tx, [userId]);
      await cancelPersonTargetedDeliveries(tx, [installationId]);
    }
    return { installationId };
  });
}
