import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import { cancelPersonTargetedDeliveries, detachInstallation } from './installation-owner.ts';
import { isNamed, lockUsers } from './user-identity-store.ts';

/** Logs a person out of an installation. */
export interface DepersonalizeRequest {
  principal: string;
  installationId: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Takes an installation away from its user (rule U10, decision 9): it gets a fresh, empty lead, and nothing that is
 * targeted at the person reaches it from the commit on. Broadcasts still do. An installation that is
 * nobody's stays as it is.
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
      const installation = await tx.installation.findUnique({ where: { id: installationId } });
      if (!installation)
        throw new DomainError('NO_REGISTRATION', 'No such installation is registered.', ['installation']);
      const user = (await lockUsers(tx, [installation.userId])).get(installation.userId);
      const [locked] = await tx.$queryRaw<{ user_id: string }[]>(
        sql`select user_id from installations where id = ${installationId}::uuid for no key update`,
      );
      if (!user || locked?.user_id !== installation.userId) throw new StaleReadError();
      const isShared = (await tx.installation.count({ where: { userId: installation.userId } })) > 1;
      if (isNamed(user) || isShared) {
        await detachInstallation(tx, installationId);
        await cancelPersonTargetedDeliveries(tx, installationId);
      }
      return { installationId };
    },
  );
}
