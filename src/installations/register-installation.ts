import type { Caller } from '../apps/caller.ts';
import type { CustomAttributesInput } from '../attributes/custom-attributes.ts';
import { writeCustomAttributes } from '../attributes/write-custom-attributes.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { Platform, PushStatus } from '../generated/prisma/enums.ts';
import { isUuid, newId } from '../ids.ts';
import { obeySuppression } from '../recipients/suppressions.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import { createLead } from '../users/create-lead.ts';
import { isTimeZone, toLanguage } from '../users/user-attributes.ts';
import { type InstallationAddressInput, parseInstallationAddress, sealAddress } from './installation-address.ts';
import { type IssuedToken, issueInstallationToken } from './installation-token.ts';

/** What an app tells when it is launched. An absent field keeps what an earlier registration said. */
export interface Registration {
  pushRegistrationId?: string | null | undefined;
  platform: Platform;
  address?: InstallationAddressInput | null | undefined;
  pushStatus?: PushStatus | null | undefined;
  language?: string | null | undefined;
  timeZone?: string | null | undefined;
  appVersion?: string | null | undefined;
  osVersion?: string | null | undefined;
  deviceModel?: string | null | undefined;
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
  const details = parseDetails(registration);
  const address = registration.address
    ? parseInstallationAddress(
        { address: registration.address, platform: registration.platform },
        { path: ['address'], arePrivateEndpointsAllowed },
      )
    : null;
  const sealed = address && sealAddress(deployment.cipher, address);
  return inTransaction(deployment.db, async (tx) => {
    const known = await lockOwn(
      tx,
      ownId(caller, registration.pushRegistrationId ?? null),
      sealed?.addressHash ?? null,
    );
    if (sealed) await takeAddress(tx, sealed.addressHash, known);
    const status = pushStatus(registration, { hasAddress: sealed !== null, isKnown: known !== null });
    const data = { ...details, ...sealed, ...status, platform: registration.platform };
    const installationId = known
      ? await renew(tx, known, data)
      : await create(tx, await newInstallation(tx, caller, registration), data);
    if (sealed) await obeySuppression(tx, { installationId, addressHash: sealed.addressHash });
    await writeCustomAttributes(tx, {
      owner: 'INSTALLATION',
      id: installationId,
      input: registration.customAttributes,
      undeclared: caller.kind === 'SERVER' ? deployment.rules.undeclaredAttributes : 'REFUSE',
      path: ['customAttributes'],
    });
    const usedTokenHash = caller.kind === 'INSTALLATION' ? caller.secretHash : null;
    return { installationId, ...(await issueInstallationToken(tx, installationId, usedTokenHash)) };
  });
}

const textFields = ['appVersion', 'osVersion', 'deviceModel'] as const;
const textCharactersMax = 256;

function parseDetails(registration: Registration) {
  const { pushRegistrationId, language, timeZone, appVersion, osVersion, deviceModel } = registration;
  if (typeof pushRegistrationId === 'string' && !isUuid(pushRegistrationId)) {
    throw new DomainError('VALUE_INVALID', 'A push registration id is a UUID.', ['pushRegistrationId']);
  }
  if (registration.pushStatus === 'SUSPENDED') {
    throw new DomainError('VALUE_INVALID', 'SUSPENDED is set by the server only.', ['pushStatus']);
  }
  for (const name of textFields) {
    if ((registration[name]?.length ?? 0) > textCharactersMax) {
      throw new DomainError('VALUE_INVALID', `At most ${textCharactersMax} characters.`, [name]);
    }
  }
  if (typeof timeZone === 'string' && !isTimeZone(timeZone)) {
    throw new DomainError('VALUE_INVALID', 'Not an IANA time zone, such as "Europe/Zagreb".', ['timeZone']);
  }
  const tag = typeof language === 'string' ? toLanguage(language) : language;
  if (typeof language === 'string' && tag === null) {
    throw new DomainError('VALUE_INVALID', 'Not a BCP 47 language tag, such as "en" or "pt-BR".', ['language']);
  }
  // Prisma leaves a column alone whose value is undefined.
  return { language: tag, timeZone, appVersion, osVersion, deviceModel };
}

/** Rule I3: an address without a status means that the user allowed it; without an address nobody was asked yet. */
function pushStatus(
  { pushStatus: given }: Registration,
  { hasAddress, isKnown }: { hasAddress: boolean; isKnown: boolean },
): { pushStatus?: PushStatus } {
  if (given) return { pushStatus: given };
  if (hasAddress) return { pushStatus: 'ALLOWED' };
  return isKnown ? {} : { pushStatus: 'ASK' };
}

/** Whoever else holds the address loses it and is suspended; its row stays. */
async function takeAddress(tx: Transaction, addressHash: Uint8Array, ownId: string | null): Promise<void> {
  await tx.$executeRaw(sql`
    update installations set address_hash = null, address_cipher = null, push_status = 'SUSPENDED'
    where address_hash = ${addressHash} and id is distinct from ${ownId}::uuid
  `);
}

type InstallationData = Omit<Prisma.InstallationUncheckedCreateInput, 'id' | 'appId' | 'userId'>;

/** Id of the installation that the caller may register again, if there is one; null: whatever it says, a new one comes out. */
function ownId(caller: Caller, pushRegistrationId: string | null): string | null {
  const id = pushRegistrationId?.toLowerCase() ?? null;
  if (caller.kind === 'SERVER') return id;
  if (caller.kind !== 'INSTALLATION') return null;
  return id === null || id === caller.installationId ? caller.installationId : null;
}

/**
 * Locks the installation that is renewed and the one that holds its address, in id order, so that two that swap their
 * addresses cannot wait for each other. Of many that register one address at once, each waits for the one before.
 *
 * @returns `id` if there is such an installation, else null.
 */
async function lockOwn(tx: Transaction, id: string | null, addressHash: Uint8Array | null): Promise<string | null> {
  if (addressHash) {
    await tx.$executeRaw(
      sql`select pg_advisory_xact_lock(hashtextextended(${`address ${Buffer.from(addressHash).toString('hex')}`}, 0))`,
    );
  }
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from installations where id = ${id}::uuid or address_hash = ${addressHash}
    order by id for no key update
  `);
  return rows.some((row) => row.id === id) ? id : null;
}

async function renew(tx: Transaction, id: string, data: InstallationData): Promise<string> {
  await tx.installation.update({ where: { id }, data });
  await tx.$executeRaw(sql`update installations set last_seen_at = now() where id = ${id}::uuid`);
  return id;
}

/** Under which id and app a new installation is made: the id that was asked for, where it is free. */
async function newInstallation(tx: Transaction, caller: Caller, { pushRegistrationId }: Registration) {
  const wanted = pushRegistrationId?.toLowerCase() ?? null;
  const isTaken = wanted !== null && (await tx.installation.findUnique({ where: { id: wanted } })) !== null;
  const appId =
    'appId' in caller ? caller.appId : (await tx.app.findFirstOrThrow({ orderBy: { createdAt: 'asc' } })).id;
  return { id: wanted === null || isTaken ? newId() : wanted, appId };
}

async function create(
  tx: Transaction,
  { id, appId }: { id: string; appId: string },
  data: InstallationData,
): Promise<string> {
  const userId = await createLead(tx);
  await tx.installation.create({ data: { ...data, id, appId, userId } });
  await tx.recipient.create({ data: { id: newId(), channel: 'PUSH', userId, installationId: id } });
  return id;
}
