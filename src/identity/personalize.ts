import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import { parseUserAttributes, type UserAttributes, type UserAttributesInput } from '../users/user-attributes.ts';
import { type Identifier, identifiersPerKindMax, parseUserIdentity, type UserIdentity } from './identifier.ts';
import { attachInstallation, cancelPersonTargetedDeliveries, detachInstallation } from './installation-owner.ts';
import { joinUsers } from './join-users.ts';
import {
  addIdentifiers,
  findHolders,
  isNamed,
  lockUsers,
  type NamedUser,
  shownExternalUserId,
} from './user-identity-store.ts';

/** Says who uses an installation. */
export interface PersonalizeRequest {
  principal: string;
  installationId: string;
  userIdentity: UserIdentity;
  userAttributes?: UserAttributesInput | null | undefined;
  /** Takes the installation away from the person it belongs to now, if that is another one. @default false */
  forceDepersonalize: boolean;
  /** Does not promote a lead to a customer. @default false */
  keepAsLead: boolean;
  idempotencyKey?: string | null | undefined;
}

/** Ids only, so that it can be kept for a repeat. */
export interface Personalized {
  userId: string;
  installationId: string;
  /** Of the lead that was absorbed, if one was. */
  mergeRecordId: string | null;
  droppedIdentifiers: string[];
}

/**
 * Makes an installation the one of the person that `userIdentity` names (rules U7, U8, decisions 1 and 2): of the user who
 * has one of its identifiers, else of the installation's own lead, which then gets the name.
 *
 * @throws DomainError `USER_IDENTITY_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `ATTRIBUTE_INVALID`,
 * `NO_REGISTRATION`, `AMBIGUOUS_PERSONALIZE_CANDIDATES`, `IDENTIFIER_IMMUTABLE`, `IDENTIFIER_LIMIT_EXCEEDED`,
 * `PERSONALIZATION_IMPOSSIBLE`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function personalize(deployment: Deployment, request: PersonalizeRequest): Promise<Personalized> {
  const { principal, idempotencyKey, ...input } = request;
  const identity = parseUserIdentity(request.userIdentity, ['userIdentity']);
  const attributes = parseUserAttributes(request.userAttributes, ['userAttributes']);
  if (identity.identifiers.length === 0) {
    throw new DomainError('USER_IDENTITY_INVALID', 'Give an external user id, an e-mail address or a phone number.', [
      'userIdentity',
    ]);
  }
  return write(deployment, { principal, mutation: 'personalize', idempotencyKey, input }, async (tx) => {
    const situation = await readSituation(tx, request.installationId, identity.identifiers);
    const plan = decidePersonalize(situation, { ...request, identifiers: identity.identifiers });
    const result = await applyPersonalize(tx, {
      ...request,
      plan,
      situation,
      attributes,
      identifiers: identity.identifiers,
    });
    return { ...result, installationId: request.installationId, droppedIdentifiers: identity.dropped };
  });
}

/** What a decision is made on; all users are locked. */
export interface PersonalizeSituation {
  /** The installation's user now. */
  current: NamedUser;
  /** The users that hold an identifier of the identity. */
  holders: NamedUser[];
}

/** What personalize will do; `attachTo` null: the user that comes out is the installation's own (fresh or present) lead. */
export interface PersonalizePlan {
  /** Take the installation away from its named user first. */
  detach: boolean;
  /** Whom the installation goes to. */
  attachTo: NamedUser | null;
  /** The empty lead that is absorbed by the user it is attached to. */
  absorb: NamedUser | null;
}

async function readSituation(
  tx: Transaction,
  installationId: string,
  identifiers: readonly Identifier[],
): Promise<PersonalizeSituation> {
  const installation = await tx.installation.findUnique({ where: { id: installationId } });
  if (!installation) throw new DomainError('NO_REGISTRATION', 'No such installation is registered.', ['installation']);
  const holderIds = await findHolders(tx, identifiers);
  const users = await lockUsers(tx, [installation.userId, ...holderIds]);
  // Users first, then the installation: every verb takes its locks in this order. What was read before is read again.
  const [locked] = await tx.$queryRaw<{ user_id: string }[]>(
    sql`select user_id from installations where id = ${installationId}::uuid for no key update`,
  );
  const holdersNow = await findHolders(tx, identifiers);
  const current = users.get(installation.userId);
  const isStale = locked?.user_id !== installation.userId || holdersNow.some((id) => !users.has(id));
  if (!current || isStale) throw new StaleReadError();
  return { current, holders: holdersNow.flatMap((id) => users.get(id) ?? []) };
}

/**
 * Decides what becomes of the installation. Pure.
 *
 * @throws DomainError `AMBIGUOUS_PERSONALIZE_CANDIDATES`, `IDENTIFIER_IMMUTABLE`, `IDENTIFIER_LIMIT_EXCEEDED`,
 * `PERSONALIZATION_IMPOSSIBLE`, in this order.
 */
function decidePersonalize(
  { current, holders }: PersonalizeSituation,
  { identifiers, forceDepersonalize }: { identifiers: readonly Identifier[]; forceDepersonalize: boolean },
): PersonalizePlan {
  const [holder, another] = holders;
  if (another) {
    throw new DomainError('AMBIGUOUS_PERSONALIZE_CANDIDATES', 'The identifiers name several users.', ['userIdentity']);
  }
  const isCurrent = holder?.user.id === current.user.id;
  if (holder) refuseOtherExternalUserId(holder, identifiers);
  const isOtherPerson = isNamed(current) && !isCurrent;
  if (isOtherPerson && !forceDepersonalize) {
    throw new DomainError('PERSONALIZATION_IMPOSSIBLE', 'The installation is personalized as another user.', [
      'installation',
    ]);
  }
  refuseTooMany(holder ?? null, identifiers);
  if (!holder || isCurrent) return { detach: isOtherPerson, attachTo: null, absorb: null };
  return { detach: false, attachTo: holder, absorb: isOtherPerson ? null : current };
}

function refuseOtherExternalUserId(holder: NamedUser, identifiers: readonly Identifier[]): void {
  const given = identifiers.find(({ kind }) => kind === 'EXTERNAL_USER_ID')?.value;
  if (given === undefined || shownExternalUserId(holder) === null) return;
  const isTheirs = holder.identifiers.some(({ kind, value }) => kind === 'EXTERNAL_USER_ID' && value === given);
  if (!isTheirs) {
    throw new DomainError('IDENTIFIER_IMMUTABLE', 'The user already has another external user id.', [
      'userIdentity',
      'externalUserId',
    ]);
  }
}

function refuseTooMany(holder: NamedUser | null, identifiers: readonly Identifier[]): void {
  for (const kind of ['EMAIL', 'PHONE'] as const) {
    const values = [...(holder?.identifiers ?? []), ...identifiers].filter((identifier) => identifier.kind === kind);
    if (new Set(values.map(({ value }) => value)).size > identifiersPerKindMax) {
      const field = kind === 'EMAIL' ? 'emails' : 'phones';
      throw new DomainError('IDENTIFIER_LIMIT_EXCEEDED', `A user has at most ${identifiersPerKindMax} ${field}.`, [
        'userIdentity',
        field,
      ]);
    }
  }
}

interface ApplyPersonalize {
  plan: PersonalizePlan;
  situation: PersonalizeSituation;
  installationId: string;
  principal: string;
  identifiers: readonly Identifier[];
  attributes: UserAttributes;
  keepAsLead: boolean;
}

async function applyPersonalize(
  tx: Transaction,
  { plan, situation: { current }, installationId, principal, identifiers, attributes, keepAsLead }: ApplyPersonalize,
): Promise<{ userId: string; mergeRecordId: string | null }> {
  let userId = plan.attachTo?.user.id ?? current.user.id;
  let mergeRecordId: string | null = null;
  if (plan.detach) userId = await detachInstallation(tx, installationId);
  if (plan.attachTo && plan.absorb) {
    mergeRecordId = await joinUsers(tx, {
      survivor: plan.attachTo,
      merged: plan.absorb,
      actor: principal,
      reason: 'personalize',
    });
  } else if (plan.attachTo) {
    await attachInstallation(tx, installationId, userId);
  }
  if (!(await addIdentifiers(tx, userId, identifiers))) throw new StaleReadError();
  await tx.user.update({ where: { id: userId }, data: { ...attributes, ...(keepAsLead ? {} : { type: 'CUSTOMER' }) } });
  const hasLeftPerson = isNamed(current) && userId !== current.user.id;
  if (hasLeftPerson) await cancelPersonTargetedDeliveries(tx, installationId);
  return { userId, mergeRecordId };
}
