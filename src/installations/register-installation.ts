import type { Caller } from '../apps/caller.ts';
import { changeCustomAttributes } from '../attributes/change-custom-attributes.ts';
import type { CustomAttributesInput } from '../attributes/custom-attributes.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Platform, PushStatus } from '../generated/prisma/enums.ts';
import { isUuid, newId } from '../ids.ts';
import { obeySuppression } from '../recipients/suppressions.ts';
import { sql, type Transaction, withChanges } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import { createLead } from '../users/create-lead.ts';
import { type InstallationAddressInput, parseAndSealAddress } from './installation-address.ts';
import { type InstallationDetails, parseDetails } from './installation-details.ts';
import {
  blankInstallation,
  type InstallationData,
  insertInstallation,
  lockWithAddress,
  takeAddress,
  updateInstallationData,
} from './installation-store.ts';
import { type IssuedToken, issueInstallationToken } from './installation-token.ts';
import { decidePushStatus, refuseSuspended } from './push-status.ts';

/** What an app tells when it is launched. An absent field keeps what an earlier registration said. */
export interface Registration extends InstallationDetails {
  pushRegistrationId?: string | null | undefined;
  platform: Platform;
  address?: InstallationAddressInput | null | undefined;
  pushStatus?: PushStatus | null | undefined;
  /** Of installations, by name: a name that is absent keeps its value, null removes it. */
  customAttributes?: CustomAttributesInput | null | undefined;
}

/** An installation and the token that speaks for it. */
export interface Registered extends IssuedToken {
  installationId: string;
}

/**
 * Registers an installation, or renews what is known of it. A new one belongs to an empty lead (rule U1). A known
 * `pushRegistrationId` is only taken up again by its own token (also an expired one) or a server key; anyone else gets
 * a new installation (decision 11). An address that another installation holds moves here (decision 8).
 *
 * @throws DomainError `VALUE_INVALID`, `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`; nothing is written then.
 */
export async function registerInstallation(
  deployment: Deployment,
  caller: Caller,
  request: Registration & { arePrivateEndpointsAllowed: boolean },
): Promise<Registered> {
  const { arePrivateEndpointsAllowed, ...registration } = request;
  const { pushRegistrationId, platform, address, pushStatus } = registration;
  if (typeof pushRegistrationId === 'string' && !isUuid(pushRegistrationId)) {
    throw new DomainError('VALUE_INVALID', 'A push registration id is a UUID.', ['pushRegistrationId']);
  }
  refuseSuspended(pushStatus, ['pushStatus']);
  const details = parseDetails(registration, []);
  const given = address ? { address, platform } : null;
  const sealed =
    given && parseAndSealAddress(deployment.cipher, given, { path: ['address'], arePrivateEndpointsAllowed });
  return inTransaction(deployment.db, async (tx) => {
    const known = await lockWithAddress(tx, ownId(caller, pushRegistrationId ?? null), sealed?.addressHash ?? null);
    if (sealed) await takeAddress(tx, sealed.addressHash, known?.id ?? null);
    const status = decidePushStatus({
      given: pushStatus,
      address: sealed ? 'given' : 'kept',
      current: known?.pushStatus ?? null,
    });
    const customAttributes = await changeCustomAttributes(tx, {
      owner: 'INSTALLATION',
      stored: known?.customAttributes ?? {},
      input: registration.customAttributes,
      undeclared: caller.kind === 'SERVER' ? deployment.rules.undeclaredAttributes : 'REFUSE',
      path: ['customAttributes'],
    });
    const told = { platform, pushStatus: status, customAttributes };
    const said = { ...details, ...sealed, ...told };
    if (known) await updateInstallationData(tx, withChanges(known, said), { isSeen: true });
    const data = withChanges<InstallationData>({ ...blankInstallation, ...told }, said);
    const installationId = known?.id ?? (await create(tx, caller, { registration, data }));
    if (sealed) await obeySuppression(tx, { installationId, addressHash: sealed.addressHash });
    const usedTokenHash = caller.kind === 'INSTALLATION' ? caller.secretHash : null;
    return { installationId, ...(await issueInstallationToken(tx, installationId, usedTokenHash)) };
  });
}

/** Id of the installation that the caller may register again, if there is one; null: whatever it says, a new one comes out. */
function ownId(caller: Caller, pushRegistrationId: string | null): string | null {
  const id = pushRegistrationId?.toLowerCase() ?? null;
  if (caller.kind === 'SERVER') return id;
  if (caller.kind !== 'INSTALLATION') return null;
  return id === null || id === caller.installationId ? caller.installationId : null;
}

/** Under which id and app a new installation is made: the id that was asked for, where it is free. */
async function newInstallation(tx: Transaction, caller: Caller, { pushRegistrationId }: Registration) {
  const wanted = pushRegistrationId?.toLowerCase() ?? null;
  const [row] = await tx.$queryRaw<{ app_id: string | null; is_taken: boolean }[]>(sql`
    select
      coalesce(${'appId' in caller ? caller.appId : null}::uuid, (select id from apps order by created_at limit 1)) as app_id,
      exists (select from installations where id = ${wanted}::uuid) as is_taken
  `);
  if (!row?.app_id) throw new Error('There is no app.');
  return { id: wanted === null || row.is_taken ? newId() : wanted, appId: row.app_id };
}

async function create(
  tx: Transaction,
  caller: Caller,
  { registration, data }: { registration: Registration; data: InstallationData },
): Promise<string> {
  const { id, appId } = await newInstallation(tx, caller, registration);
  await insertInstallation(tx, { id, appId, userId: await createLead(tx) }, data);
  return id;
}
