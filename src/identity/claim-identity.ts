import { changeCustomAttributes } from '../attributes/change-custom-attributes.ts';
import type { Deployment } from '../deployment.ts';
import { withChanges } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { decidePersonalize } from './decide-personalize.ts';
import { addClaims, forgetAbandonedClaims } from './identifier-claims.ts';
import { cancelPersonTargetedDeliveries, detachInstallation } from './installation-owner.ts';
import { lockInstallation } from './lock-installation.ts';
import { type Personalized, type PersonalizeRequest, parsePersonalize } from './personalize.ts';
import type { NamedUser } from './user-identity-store.ts';
import { newUser, updateUser } from './user-rows.ts';

/**
 * Keeps what a client of an `OPEN` app says of who uses it (rule U11), as a claim of the installation's own user. Nobody has
 * verified it: two installations that claim the same share no user, nothing that others ask for finds a user by it, a
 * claimed address is nobody's recipient until it is confirmed, and a lead stays a lead. Whether somebody else is
 * called so makes no difference, so that a client learns nothing of others. It ends when somebody is verified to be called
 * so (see `takeIdentifiers`), and with the installation's next person.
 *
 * Otherwise as `personalize` with what the user is called, verified or claimed: the same again adds what is new; another
 * person has to be forced.
 *
 * @throws DomainError `USER_IDENTITY_INVALID`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `ATTRIBUTE_INVALID`,
 * `LIMIT_EXCEEDED`, `NO_REGISTRATION`, `IDENTIFIER_IMMUTABLE`, `IDENTIFIER_LIMIT_EXCEEDED`, `PERSONALIZATION_IMPOSSIBLE`,
 * `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function claimIdentity(
  deployment: Deployment,
  request: Omit<PersonalizeRequest, 'keepAsLead' | 'undeclaredAttributes'>,
): Promise<Personalized> {
  const { principal, idempotencyKey, ...asked } = request;
  const { installationId } = request;
  const { identifiers, dropped, attributes } = parsePersonalize(deployment, request);
  // A repeat after the app has begun to sign is not a repeat.
  const input = { ...asked, isClaim: true };
  return write(deployment, { principal, mutation: 'personalize', idempotencyKey, input }, async (tx) => {
    const current = asClaimed((await lockInstallation(tx, installationId)).current);
    const isSamePerson = current.identifiers.some((known) =>
      identifiers.some(({ kind, value }) => known.kind === kind && known.value === value),
    );
    const plan = decidePersonalize({ current, holders: isSamePerson ? [current] : [] }, { ...request, identifiers });
    const before = plan.detach ? newUser('LEAD') : current.user;
    const customAttributes = await changeCustomAttributes(tx, {
      owner: 'USER',
      stored: before.customAttributes,
      input: request.userAttributes?.customAttributes,
      undeclared: 'REFUSE',
      path: ['userAttributes', 'customAttributes'],
    });
    const after = withChanges(before, { ...attributes, customAttributes });
    if (plan.detach) {
      await detachInstallation(tx, installationId, after);
      await forgetAbandonedClaims(tx, [current.user.id]);
    } else {
      await updateUser(tx, before, after);
    }
    await addClaims(tx, after.id, identifiers);
    if (plan.detach) await cancelPersonTargetedDeliveries(tx, [installationId]);
    return { userId: after.id, installationId, mergeRecordId: null, droppedIdentifiers: dropped };
  });
}

/** A user as its own client sees it: called what it claims, too. */
function asClaimed({ user, identifiers, claims }: NamedUser): NamedUser {
  return { user, identifiers: [...identifiers, ...claims.map((claim) => ({ ...claim, isAlias: false }))], claims: [] };
}
