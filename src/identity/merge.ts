import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { StaleReadError } from '../storage/transaction.ts';
import { write } from '../storage/write.ts';
import { identifiersPerKindMax } from './identifier.ts';
import { joinUsers } from './join-users.ts';
import { lockUsers, type NamedUser, shownExternalUserId } from './user-identity-store.ts';
import { parseUserReference, resolveUserReferences, type UserReferenceInput } from './user-reference.ts';

/** Joins two users for good. */
export interface MergeRequest {
  principal: string;
  survivor: UserReferenceInput;
  merged: UserReferenceInput;
  /** Two different external user ids: keep the merged one as an alias that goes on resolving. @default false */
  allowAlias: boolean;
  idempotencyKey?: string | null | undefined;
}

/**
 * Joins two users (decision 3): `merged` becomes a tombstone that redirects to `survivor`, whose values win.
 *
 * @throws DomainError `NOT_FOUND`, `MERGE_CONFLICT`, `IDENTIFIER_LIMIT_EXCEEDED`, `EMAIL_INVALID`, `PHONE_INVALID`,
 * `VALUE_INVALID`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function mergeUsers(
  deployment: Deployment,
  request: MergeRequest,
): Promise<{ userId: string; mergeRecordId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const references = [
    parseUserReference(request.survivor, ['survivor']),
    parseUserReference(request.merged, ['merged']),
  ];
  return write(deployment, { principal, mutation: 'mergeUsers', idempotencyKey, input }, async (tx) => {
    const [survivorId, mergedId] = await resolveUserReferences(tx, references);
    if (!survivorId) throw new DomainError('NOT_FOUND', 'There is no such user.', ['survivor']);
    if (!mergedId) throw new DomainError('NOT_FOUND', 'There is no such user.', ['merged']);
    const users = await lockUsers(tx, [survivorId, mergedId]);
    const survivor = users.get(survivorId);
    const merged = users.get(mergedId);
    if (!survivor || !merged || survivor.user.mergedIntoId || merged.user.mergedIntoId) throw new StaleReadError();
    refuseMerge(survivor, merged, request.allowAlias);
    const mergeRecordId = await joinUsers(tx, { survivor, merged, actor: principal, reason: 'mergeUsers' });
    return { userId: survivorId, mergeRecordId };
  });
}

/** Whether two users may become one. Pure. @throws DomainError `MERGE_CONFLICT`, `IDENTIFIER_LIMIT_EXCEEDED`. */
function refuseMerge(survivor: NamedUser, merged: NamedUser, allowAlias: boolean): void {
  if (survivor.user.id === merged.user.id) {
    throw new DomainError('MERGE_CONFLICT', 'Both references name the same user.', ['merged']);
  }
  if (survivor.user.type === 'LEAD' && merged.user.type === 'CUSTOMER') {
    throw new DomainError('MERGE_CONFLICT', 'A customer is never merged into a lead: swap the two.', ['survivor']);
  }
  const hasTwoNames = shownExternalUserId(survivor) !== null && shownExternalUserId(merged) !== null;
  if (hasTwoNames && !allowAlias) {
    throw new DomainError(
      'MERGE_CONFLICT',
      'The users have different external user ids: allow an alias to keep both.',
      ['allowAlias'],
    );
  }
  for (const kind of ['EMAIL', 'PHONE'] as const) {
    const count = [...survivor.identifiers, ...merged.identifiers].filter(
      (identifier) => identifier.kind === kind,
    ).length;
    if (count > identifiersPerKindMax) {
      throw new DomainError(
        'IDENTIFIER_LIMIT_EXCEEDED',
        `A user has at most ${identifiersPerKindMax} of each kind of address.`,
        ['merged'],
      );
    }
  }
}
