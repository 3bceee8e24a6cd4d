import type { IdentityRules } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import { identifiersPerKindMax } from '../identifier.ts';
import { type NamedUser, shownExternalUserId } from '../user-identity-store.ts';
import { decideJoin, type JoinPlan, type MergeOverrides } from './decide-join.ts';

/** What a merge is decided on. */
export interface MergeSituation {
  survivor: NamedUser;
  merged: NamedUser;
  /** How many users `mergeUsers` has joined to the survivor within 24 hours, without those that were undone. */
  mergesLatelyCount: number;
}

/** How a merge is to be done. */
export interface MergeOptions {
  /** Two different external user ids: keep the merged one's as an alias that goes on resolving. */
  allowAlias: boolean;
  overrides?: MergeOverrides | undefined;
  rules: Pick<IdentityRules, 'mergesPerDayMax'>;
}

/**
 * Whether two users may become one, and what becomes of their values (decisions 3 and 6). Pure: `mergeUsers` does what it says,
 * and `previewMerge` tells it.
 *
 * @throws DomainError `MERGE_CONFLICT`, `IDENTIFIER_LIMIT_EXCEEDED`, `MERGE_LIMIT_EXCEEDED`, in this order.
 */
export function decideMerge(
  { survivor, merged, mergesLatelyCount }: MergeSituation,
  { allowAlias, overrides, rules }: MergeOptions,
): JoinPlan {
  refuseConflict(survivor, merged, allowAlias);
  refuseTooManyAddresses(survivor, merged);
  if (mergesLatelyCount >= rules.mergesPerDayMax) {
    throw new DomainError(
      'MERGE_LIMIT_EXCEEDED',
      `At most ${rules.mergesPerDayMax} users are merged into one within 24 hours.`,
      ['survivor'],
    );
  }
  return decideJoin(survivor, merged, overrides);
}

function refuseConflict(survivor: NamedUser, merged: NamedUser, allowAlias: boolean): void {
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
}

function refuseTooManyAddresses(survivor: NamedUser, merged: NamedUser): void {
  const identifiers = [...survivor.identifiers, ...merged.identifiers];
  for (const kind of ['EMAIL', 'PHONE'] as const) {
    if (identifiers.filter((identifier) => identifier.kind === kind).length > identifiersPerKindMax) {
      throw new DomainError(
        'IDENTIFIER_LIMIT_EXCEEDED',
        `A user has at most ${identifiersPerKindMax} of each kind of address.`,
        ['merged'],
      );
    }
  }
}
