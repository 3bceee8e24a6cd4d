import { DomainError } from '../../errors.ts';
import { type Identifier, identifiersPerKindMax } from '../identifier.ts';
import { isNamed, type NamedUser, shownExternalUserId } from '../user-identity-store.ts';

/** What a decision is made on; all users are locked. */
export interface PersonalizeSituation {
  /** The installation's user now. */
  current: NamedUser;
  /** The users that hold an identifier of the identity. */
  holders: NamedUser[];
}

/** What personalize will do; `attachTo` null: the user that comes out is the installation's own (fresh or present) lead. */
export interface PersonalizePlan {
  /** Take the installation away from its user first. */
  detach: boolean;
  /** Whom the installation goes to. */
  attachTo: NamedUser | null;
  /** The nameless lead that is absorbed by the user it is attached to. */
  absorb: NamedUser | null;
}

/**
 * Decides what becomes of the installation. Pure.
 *
 * @throws DomainError `AMBIGUOUS_PERSONALIZE_CANDIDATES`, `IDENTIFIER_IMMUTABLE`, `IDENTIFIER_LIMIT_EXCEEDED`,
 * `PERSONALIZATION_IMPOSSIBLE`, in this order.
 */
export function decidePersonalize(
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
  const leaves = isOtherPerson || isClaimedByAnother(current, holder ?? null, identifiers);
  if (!holder || isCurrent) return { detach: leaves, attachTo: null, absorb: null };
  return { detach: false, attachTo: holder, absorb: leaves ? null : current };
}

/**
 * Whether a client of a nameless lead has claimed another external user id than the person has. A claim stands in nobody's
 * way, so nothing needs to be forced; but what was written for the one does not come to the other.
 */
function isClaimedByAnother(current: NamedUser, holder: NamedUser | null, identifiers: readonly Identifier[]): boolean {
  if (isNamed(current)) return false;
  const isExternal = ({ kind }: Identifier) => kind === 'EXTERNAL_USER_ID';
  const known = [...(holder?.identifiers ?? []), ...identifiers].filter(isExternal).map(({ value }) => value);
  const claimed = current.claims.filter(isExternal);
  return known.length > 0 && claimed.length > 0 && !claimed.some(({ value }) => known.includes(value));
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
