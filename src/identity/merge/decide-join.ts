import { type StandardAttribute, standardAttributes } from '../../users/user-attributes.ts';
import { type NamedUser, shownExternalUserId } from '../user-identity-store.ts';
import { parseCustomAttributesColumn } from './merge-record.ts';

/** For which attributes the merged user's value wins, where it has one. Otherwise the survivor's does. */
export interface MergeOverrides {
  attributes: readonly StandardAttribute[];
  /** By name. */
  customAttributes: readonly string[];
}

/** What becomes of the survivor's own values when another user is joined to it. */
export interface JoinPlan {
  /** Whether the merged user's external user id becomes an alias, as the survivor shows one of its own. */
  toAlias: boolean;
  /** The attributes whose values the survivor gets. */
  attributes: StandardAttribute[];
  customAttributes: string[];
  /** Tags that are new to the survivor. */
  tags: string[];
}

/**
 * What the survivor gets of the other's values (decision 3): its own win, but for `overrides`; blanks are filled, tags united.
 * Pure.
 */
export function decideJoin(survivor: NamedUser, merged: NamedUser, overrides?: MergeOverrides): JoinPlan {
  const own = parseCustomAttributesColumn(survivor.user.customAttributes);
  const other = parseCustomAttributesColumn(merged.user.customAttributes);
  const overridden = new Set<string>(overrides?.attributes);
  const overriddenCustom = new Set(overrides?.customAttributes);
  return {
    toAlias: shownExternalUserId(survivor) !== null,
    attributes: standardAttributes.filter(
      (name) => merged.user[name] !== null && (survivor.user[name] === null || overridden.has(name)),
    ),
    customAttributes: Object.keys(other).filter((name) => !Object.hasOwn(own, name) || overriddenCustom.has(name)),
    tags: merged.user.tags.filter((tag) => !survivor.user.tags.includes(tag)),
  };
}
