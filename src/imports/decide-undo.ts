import { z } from 'zod';
import type { Identifier } from '../identity/identifier.ts';
import { isCalled, type NamedUser } from '../identity/user-identity-store.ts';
import { type AttributeValues, isSame, toAttributeValues } from './attribute-values.ts';

/** Why a user, or something of it, stays when an import is undone. */
export const leftReasonNames = [
  'MERGED',
  'HAS_INSTALLATION',
  'HAS_DELIVERIES',
  'CHANGED_SINCE',
  'IN_USE',
  'ONLY_NAME',
] as const;
export type LeftReason = (typeof leftReasonNames)[number];

/** What an undo has come to: users that are gone, users that are as they were, and why others are not. */
export type UndoCounts = Partial<Record<'removed' | 'restored' | LeftReason, number>>;

/** As it is kept. */
export const undoCountsSchema = z.partialRecord(z.enum(['removed', 'restored', ...leftReasonNames]), z.number());

/** What an undo does with one user. */
export interface UserUndo {
  /** Whether the user goes. */
  isRemoved: boolean;
  /** Values to write. */
  values: AttributeValues;
  /** Identifiers to take away, of a user that stays. */
  identifiers: Identifier[];
  /** Why the user, or something of it, stays as the import left it. */
  left: LeftReason[];
}

/** What the import has done to a user, and how that stands now. The user is locked. */
export interface UndoSituation {
  named: NamedUser;
  change:
    | {
        isMade: true /** Whether its values and identifiers are those that the import has left. */;
        isUntouched: boolean;
      }
    | { isMade: false; before: AttributeValues; after: AttributeValues; added: Identifier[] };
  isMerged: boolean;
  hasInstallation: boolean;
  hasDeliveries: boolean;
  /** Addresses of which somebody else has said something: consent, language, region. Null is the inbox. */
  touchedAddresses: ReadonlySet<string | null>;
}

/** Decides what an undo does with one user. Pure. */
export function decideUndo(situation: UndoSituation): UserUndo {
  const { change } = situation;
  return change.isMade ? decideRemoval(situation, change.isUntouched) : decideRestoration(situation, change);
}

function decideRemoval(situation: UndoSituation, isUntouched: boolean): UserUndo {
  const { isMerged, hasInstallation, hasDeliveries, touchedAddresses } = situation;
  const [reason] = [
    ...(isMerged ? ['MERGED' as const] : []),
    ...(hasInstallation ? ['HAS_INSTALLATION' as const] : []),
    ...(hasDeliveries ? ['HAS_DELIVERIES' as const] : []),
    ...(isUntouched ? [] : ['CHANGED_SINCE' as const]),
    ...(touchedAddresses.size > 0 ? ['IN_USE' as const] : []),
  ];
  return { isRemoved: reason === undefined, values: {}, identifiers: [], left: reason === undefined ? [] : [reason] };
}

function decideRestoration(
  { named, touchedAddresses }: UndoSituation,
  { before, after, added }: { before: AttributeValues; after: AttributeValues; added: readonly Identifier[] },
): UserUndo {
  if (named.user.mergedIntoId !== null) return { isRemoved: false, values: {}, identifiers: [], left: ['MERGED'] };
  const now = toAttributeValues(named.user);
  const names = Object.keys(after);
  const unchanged = names.filter((name) => isSame(now[name], after[name]));
  const held = added.filter((identifier) => isCalled(named, [identifier]));
  const free = held.filter(({ value }) => !touchedAddresses.has(value));
  const isNameless = free.length > 0 && free.length === named.identifiers.length;
  return {
    isRemoved: false,
    values: Object.fromEntries(unchanged.map((name) => [name, before[name] ?? null])),
    identifiers: isNameless ? [] : free,
    left: [
      ...(unchanged.length < names.length ? ['CHANGED_SINCE' as const] : []),
      ...(free.length < held.length ? ['IN_USE' as const] : []),
      ...(isNameless ? ['ONLY_NAME' as const] : []),
    ],
  };
}
