import { changeCustomAttributes } from '../attributes/change-custom-attributes.ts';
import type { CustomAttributesInput } from '../attributes/custom-attributes.ts';
import type { Deployment } from '../deployment.ts';
import type { Platform, PushStatus } from '../generated/prisma/enums.ts';
import { obeySuppression } from '../recipients/suppressions.ts';
import { sql, type Transaction, withChanges } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import { type InstallationAddressInput, noAddress, parseAndSealAddress } from './installation-address.ts';
import { type InstallationDetails, parseDetails, refuseImplausible } from './installation-details.ts';
import { dropAddress, lockWithAddress, takeAddress, updateInstallationData } from './installation-store.ts';
import { decidePushStatus, refuseSuspended } from './push-status.ts';
import { noRegistration } from './refresh-installation-token.ts';

/** What changes of an installation. An absent field keeps what is known. */
export interface InstallationUpdate extends InstallationDetails {
  principal: string;
  installationId: string;
  /** Whether the installation itself says so, and so is there. */
  isOwnWord: boolean;
  /** Null: it has none any more. */
  address?: InstallationAddressInput | null | undefined;
  pushStatus?: PushStatus | null | undefined;
  isPushRegistrationEnabled?: boolean | null | undefined;
  /** By name: a name that is absent keeps its value, null removes it. */
  customAttributes?: CustomAttributesInput | null | undefined;
  /** Null: never, or it does not count any more. */
  softPromptDeclinedAt?: Date | null | undefined;
  arePrivateEndpointsAllowed: boolean;
  idempotencyKey?: string | null | undefined;
}

/**
 * Writes what changed of an installation. An address that another installation holds moves here, and that one is SUSPENDED
 * (decision 8).
 *
 * @throws DomainError `NO_REGISTRATION`, `VALUE_INVALID`, `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`, `IDEMPOTENCY_KEY_REUSED`;
 * nothing is written then.
 */
export async function updateInstallation(
  deployment: Deployment,
  update: InstallationUpdate,
): Promise<{ installationId: string }> {
  const { principal, idempotencyKey, arePrivateEndpointsAllowed, isOwnWord, ...input } = update;
  const { installationId, address, pushStatus, isPushRegistrationEnabled, softPromptDeclinedAt } = update;
  const { cipher, rules } = deployment;
  const details = parseDetails(update, []);
  refuseSuspended(pushStatus, ['pushStatus']);
  refuseImplausible(softPromptDeclinedAt, ['softPromptDeclinedAt']);
  return write(deployment, { principal, mutation: 'updateInstallation', idempotencyKey, input }, async (tx) => {
    const platform = await getPlatform(tx, installationId);
    const given = address && { address, platform };
    const sealed = given && parseAndSealAddress(cipher, given, { path: ['address'], arePrivateEndpointsAllowed });
    const locked = await lockWithAddress(tx, installationId, sealed?.addressHash ?? null);
    // It was removed, or registered as something else, meanwhile.
    if (locked?.platform !== platform) throw new StaleReadError();
    if (sealed) await takeAddress(tx, sealed.addressHash, installationId);
    if (sealed === null) await dropAddress(tx, installationId);
    const customAttributes = await changeCustomAttributes(tx, {
      owner: 'INSTALLATION',
      stored: locked.customAttributes,
      input: update.customAttributes,
      undeclared: isOwnWord ? 'REFUSE' : rules.undeclaredAttributes,
      path: ['customAttributes'],
    });
    const data = withChanges(locked, {
      ...details,
      ...(sealed === null ? noAddress : sealed),
      pushStatus: decidePushStatus({ given: pushStatus, address: changeOf(address), current: locked.pushStatus }),
      isPushRegistrationEnabled: isPushRegistrationEnabled ?? undefined,
      softPromptDeclinedAt,
      customAttributes,
    });
    await updateInstallationData(tx, data, { isSeen: isOwnWord });
    if (sealed) await obeySuppression(tx, { installationId, addressHash: sealed.addressHash });
    return { installationId };
  });
}

/** @throws DomainError `NO_REGISTRATION`. */
async function getPlatform(tx: Transaction, installationId: string): Promise<Platform> {
  const [row] = await tx.$queryRaw<{ platform: Platform }[]>(
    sql`select platform from installations where id = ${installationId}::uuid`,
  );
  if (!row) throw noRegistration();
  return row.platform;
}

function changeOf(address: InstallationAddressInput | null | undefined): 'given' | 'removed' | 'kept' {
  if (address === undefined) return 'kept';
  return address === null ? 'removed' : 'given';
}
