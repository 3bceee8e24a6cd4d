import { changeCustomAttributes } from '../attributes/change-custom-attributes.ts';
import type { Deployment, IdentityRules } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { User } from '../generated/prisma/client.ts';
import type { Cipher } from '../storage/cipher.ts';
import { type Transaction, withChanges } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { parseUserAttributes, type UserAttributes, type UserAttributesInput } from '../users/user-attributes.ts';
import { decidePersonalize, type PersonalizePlan, type PersonalizeSituation } from './decide-personalize.ts';
import { type Identifier, type ParsedIdentity, parseUserIdentity, type UserIdentity } from './identifier.ts';
import { forgetAbandonedClaims } from './identifier-claims.ts';
import {
  attachInstallation,
  cancelPersonTargetedDeliveries,
  detachInstallation,
  evictStalest,
} from './installation-owner.ts';
import { joinedUser, joinUsers } from './join-users.ts';
import { type LockedInstallation, lockInstallation } from './lock-installation.ts';
import { takeIdentifiers } from './take-identifiers.ts';
import { isCalled } from './user-identity-store.ts';
import { newUser, updateUser } from './user-rows.ts';

/** Says who uses an installation. */
export interface PersonalizeRequest {
  principal: string;
  installationId: string;
  userIdentity: UserIdentity;
  userAttributes?: UserAttributesInput | null | undefined;
  /** What becomes of custom attributes that nobody has defined. Clients define none. */
  undeclaredAttributes: IdentityRules['undeclaredAttributes'];
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
 * Makes an installation the one of the person that `userIdentity` verifiably names (rules U7, U8, decisions 1 and 2): of the
 * user who has one of its identifiers, else of the installation's own lead, which then gets the name. What clients claimed
 * of these identifiers ends, and claimants lose their installations (rule U11). A user who has too many installations then is
 * logged out of those that were seen least lately (decision 6).
 *
 * @throws DomainError `USER_IDENTITY_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `ATTRIBUTE_INVALID`,
 * `LIMIT_EXCEEDED`, `NO_REGISTRATION`, `AMBIGUOUS_PERSONALIZE_CANDIDATES`, `IDENTIFIER_IMMUTABLE`, `IDENTIFIER_LIMIT_EXCEEDED`,
 * `PERSONALIZATION_IMPOSSIBLE`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function personalize(deployment: Deployment, request: PersonalizeRequest): Promise<Personalized> {
  const { principal, idempotencyKey, undeclaredAttributes: _, ...input } = request;
  const { identifiers, dropped, attributes } = parsePersonalize(deployment, request);
  return write(deployment, { principal, mutation: 'personalize', idempotencyKey, input }, async (tx) => {
    const situation = await readSituation(tx, request.installationId, identifiers);
    const plan = decidePersonalize(situation, { ...request, identifiers });
    const settings = { cipher: deployment.cipher, installationsMax: deployment.rules.installationsPerUserMax };
    const asked = { ...request, ...settings, plan, situation, attributes, identifiers };
    const result = await applyPersonalize(tx, asked);
    return { ...result, installationId: request.installationId, droppedIdentifiers: dropped };
  });
}

/**
 * What a request says, in normal form; it names somebody.
 *
 * @throws DomainError `USER_IDENTITY_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `ATTRIBUTE_INVALID`,
 * `IDENTIFIER_LIMIT_EXCEEDED`.
 */
export function parsePersonalize(
  { rules }: Pick<Deployment, 'rules'>,
  request: Pick<PersonalizeRequest, 'userIdentity' | 'userAttributes'>,
): ParsedIdentity & { attributes: UserAttributes } {
  const identity = parseUserIdentity(request.userIdentity, { path: ['userIdentity'], rules });
  const attributes = parseUserAttributes(request.userAttributes, ['userAttributes']);
  if (identity.identifiers.length > 0) return { ...identity, attributes };
  throw new DomainError('USER_IDENTITY_INVALID', 'Give an external user id, an e-mail address or a phone number.', [
    'userIdentity',
  ]);
}

/** The situation, and everybody who was locked for it. */
interface LockedSituation extends PersonalizeSituation, LockedInstallation {}

async function readSituation(
  tx: Transaction,
  installationId: string,
  identifiers: readonly Identifier[],
): Promise<LockedSituation> {
  const locked = await lockInstallation(tx, installationId, identifiers);
  return { ...locked, holders: [...locked.users.values()].filter((user) => isCalled(user, identifiers)) };
}

interface ApplyPersonalize extends Pick<PersonalizeRequest, 'userAttributes' | 'undeclaredAttributes'> {
  cipher: Cipher;
  plan: PersonalizePlan;
  situation: LockedSituation;
  installationId: string;
  principal: string;
  identifiers: readonly Identifier[];
  attributes: UserAttributes;
  keepAsLead: boolean;
  installationsMax: number;
}

/** A lead that was just made has no names. */
const nobody = { identifiers: [] };

async function applyPersonalize(
  tx: Transaction,
  asked: ApplyPersonalize,
): Promise<{ userId: string; mergeRecordId: string | null }> {
  const { plan, situation, installationId, identifiers, cipher } = asked;
  const { current, users: locked } = situation;
  const change = await changeUser(tx, asked);
  const userId = change.after.id;
  const mergeRecordId = await moveInstallation(tx, asked, change);
  const hasLeftPerson = userId !== current.user.id && plan.absorb === null;
  if (hasLeftPerson && current.claims.length > 0) await forgetAbandonedClaims(tx, [current.user.id]);
  const owned = identifiers.map((identifier) => ({ ...identifier, userId }));
  const { added = [], confirmed = [] } = Object.groupBy(owned, (identifier) =>
    isCalled(locked.get(userId) ?? nobody, [identifier]) ? 'confirmed' : 'added',
  );
  const taken = await takeIdentifiers(tx, { added, confirmed, locked, cipher });
  const evicted = await evictIfTooMany(tx, { ...asked, userId });
  const left = hasLeftPerson ? [installationId] : [];
  await cancelPersonTargetedDeliveries(tx, [...taken, ...left, ...evicted]);
  return { userId, mergeRecordId };
}

/** The row of whoever has the installation afterwards. */
interface UserChange {
  before: User;
  after: User;
}

async function changeUser(
  tx: Transaction,
  { plan, situation, attributes, keepAsLead, ...request }: ApplyPersonalize,
): Promise<UserChange> {
  const before = plan.detach ? newUser('LEAD') : (plan.attachTo ?? situation.current).user;
  const joined = plan.attachTo && plan.absorb ? joinedUser(plan.attachTo, plan.absorb) : before;
  const customAttributes = await changeCustomAttributes(tx, {
    owner: 'USER',
    stored: joined.customAttributes,
    input: request.userAttributes?.customAttributes,
    undeclared: request.undeclaredAttributes,
    path: ['userAttributes', 'customAttributes'],
  });
  const type = keepAsLead ? joined.type : 'CUSTOMER';
  return { before, after: withChanges(joined, { ...attributes, type, customAttributes }) };
}

/** Gives the installation to whom the plan says, and writes that user. @returns the id of the merge record, if there is one. */
async function moveInstallation(
  tx: Transaction,
  { plan, installationId, principal }: ApplyPersonalize,
  { before, after }: UserChange,
): Promise<string | null> {
  if (plan.attachTo && plan.absorb) {
    const pair = { survivor: plan.attachTo, merged: plan.absorb };
    return joinUsers(tx, { ...pair, actor: principal, reason: 'personalize', outcome: after });
  }
  if (plan.detach) await detachInstallation(tx, installationId, after);
  else await updateUser(tx, before, after);
  if (plan.attachTo) await attachInstallation(tx, installationId, after.id);
  return null;
}

/** One statement more only for a user who may be above the limit: the count is an upper bound. */
async function evictIfTooMany(
  tx: Transaction,
  {
    plan,
    situation,
    userId,
    installationId,
    installationsMax,
  }: Pick<ApplyPersonalize, 'plan' | 'situation' | 'installationId' | 'installationsMax'> & { userId: string },
): Promise<string[]> {
  if (plan.attachTo === null || situation.installationsCount <= installationsMax) return [];
  return evictStalest(tx, { userIds: [userId], attachedIds: [installationId], installationsMax });
}
