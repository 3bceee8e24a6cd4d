import { isDeepStrictEqual } from 'node:util';
import type { User } from '../../generated/prisma/client.ts';
import type { Channel } from '../../generated/prisma/enums.ts';
import type { Identifier } from '../identifier.ts';
import type { NamedUser } from '../user-identity-store.ts';
import { type InboxConsent, type LeftBehind, parseCustomAttributesColumn, type UndoFacts } from './merge-record.ts';
import { decideTopicPreferences, type PreferencesByTopic, type PreferencesPlan } from './topic-preferences.ts';

/** What an undo is decided on; users and installations are locked. */
export interface UnmergeSituation {
  facts: UndoFacts;
  survivor: NamedUser;
  /** Of what has moved and is an identifier, whose it is now. */
  identifiers: readonly (Identifier & { userId: string })[];
  /** What has moved and is still there. */
  installations: readonly { id: string; appId: string; userId: string; isPrimaryDevice: boolean; departures: number }[];
  /** E-mail addresses and phones that have moved, and whatever stands for such an address by now. */
  recipients: readonly { id: string; userId: string; channel: Channel; address: string | null }[];
  /** Segments of those that have moved of which the survivor is a member, and since when. */
  segments: readonly { id: string; addedAt: Date }[];
  /** Names of custom attributes, of those that have moved, that were removed since and defined anew. */
  redefined: ReadonlySet<string>;
  /** As they are now. */
  inboxes: { survivor: InboxConsent; merged: InboxConsent };
  /** What the survivor has said of topics by now. */
  preferences: PreferencesByTopic;
  /** Topics, of those of which something has moved, that there still are. */
  topics: ReadonlySet<string>;
}

/** What goes back to the merged user, and what stays. */
export interface UnmergePlan {
  identifiers: (Identifier & { isAlias: boolean })[];
  installations: { id: string; isPrimary: boolean }[];
  /** E-mail addresses and phones. */
  recipients: string[];
  /** `isShared`: the survivor stays a member too. */
  segments: { id: string; addedAt: Date; isShared: boolean }[];
  /** `isShared`: clients of the survivor go on claiming it too. */
  claims: (Identifier & { isShared: boolean })[];
  /** The survivor's own claims, which come back. */
  survivorClaims: Identifier[];
  inboxes: InboxConsent[];
  preferences: PreferencesPlan;
  /** What changes on the survivor's row. */
  survivorData: Partial<User>;
  leftBehind: LeftBehind[];
}

/**
 * What an undo gives back (decision 5): exactly what moved and is still the survivor's, as it was. What was changed after the
 * merge stays as it is, with the survivor. Pure.
 */
export function decideUnmerge(situation: UnmergeSituation): UnmergePlan {
  const leftBehind: LeftBehind[] = [];
  const addresses = decideAddresses(situation, leftBehind);
  return {
    ...addresses,
    installations: decideInstallations(situation, leftBehind),
    segments: decideSegments(situation, leftBehind),
    ...decideClaims(situation, addresses.identifiers, leftBehind),
    inboxes: decideInboxes(situation, leftBehind),
    preferences: decideTopicPreferences(
      {
        mergedAt: situation.facts.mergedAt,
        before: situation.facts.moved.topicPreferences,
        now: situation.preferences,
        topics: situation.topics,
      },
      leftBehind,
    ),
    survivorData: decideValues(situation, leftBehind),
    leftBehind,
  };
}

const isSame = (one: Identifier) => (other: Identifier) => other.kind === one.kind && other.value === one.value;

/** An address goes back with its recipient, or not at all: one that was taken away and given anew is the survivor's. */
function decideAddresses(
  { facts: { moved }, survivor, identifiers, recipients }: UnmergeSituation,
  leftBehind: LeftBehind[],
): Pick<UnmergePlan, 'identifiers' | 'recipients'> {
  const survivorId = survivor.user.id;
  const isNewRow = ({ kind, value }: Identifier) => {
    const channel = kind === 'PHONE' ? 'SMS' : kind;
    const known = recipients.find((recipient) => recipient.channel === channel && recipient.address === value);
    return known !== undefined && !(known.userId === survivorId && moved.recipients.includes(known.id));
  };
  const back = moved.identifiers.filter((identifier) => {
    const now = identifiers.find(isSame(identifier));
    const isTheirs = now?.userId === survivorId;
    if (isTheirs && !isNewRow(identifier)) return true;
    const otherwise = now ? 'ELSEWHERE' : 'GONE';
    leftBehind.push({ kind: 'IDENTIFIER', name: identifier.value, reason: isTheirs ? 'CHANGED' : otherwise });
    return false;
  });
  const staying = new Set(
    moved.identifiers.filter((identifier) => !back.includes(identifier)).map(({ value }) => value),
  );
  const moving = recipients.filter(({ id, userId }) => moved.recipients.includes(id) && userId === survivorId);
  return {
    identifiers: back,
    recipients: moving.filter(({ address }) => address === null || !staying.has(address)).map(({ id }) => id),
  };
}

/**
 * One that has left since stays where it is, also where it came to the survivor again: by itself, that time. A primary one that
 * stood back for the survivor's is primary again, unless another was made so since: there is one at most of each app.
 */
function decideInstallations(
  { facts: { moved }, survivor, installations }: UnmergeSituation,
  leftBehind: LeftBehind[],
): UnmergePlan['installations'] {
  const theirs = installations.filter(({ userId }) => userId === survivor.user.id);
  const appsWithPrimary = new Set(theirs.filter((one) => one.isPrimaryDevice).map(({ appId }) => appId));
  return moved.installations.flatMap(({ id, wasPrimary, isPrimary, departures }) => {
    const now = theirs.find((one) => one.id === id && one.departures === departures);
    if (now) {
      const isAgain = wasPrimary && !isPrimary && !appsWithPrimary.has(now.appId);
      return [{ id, isPrimary: now.isPrimaryDevice || isAgain }];
    }
    const isThere = installations.some((one) => one.id === id);
    const isAgain = theirs.some((one) => one.id === id);
    leftBehind.push({ kind: 'INSTALLATION', name: id, reason: isAgain ? 'CHANGED' : isThere ? 'ELSEWHERE' : 'GONE' });
    return [];
  });
}

/** A membership that ended since is no longer the survivor's to give; one that began anew is its own. */
function decideSegments(
  { facts: { moved }, segments }: UnmergeSituation,
  leftBehind: LeftBehind[],
): UnmergePlan['segments'] {
  return moved.segments.flatMap(({ id, addedAt, wasSurvivors }) => {
    const now = segments.find((segment) => segment.id === id);
    const isNew = now !== undefined && !wasSurvivors && now.addedAt.getTime() !== addedAt.getTime();
    if (now && !isNew) return [{ id, addedAt, isShared: wasSurvivors }];
    leftBehind.push({ kind: 'SEGMENT', name: id, reason: isNew ? 'CHANGED' : 'GONE' });
    return [];
  });
}

/** What clients claimed goes back as long as they do; what the survivor is not verified to be called any more is a claim again. */
function decideClaims(
  { facts: { moved }, survivor }: UnmergeSituation,
  identifiersBack: readonly Identifier[],
  leftBehind: LeftBehind[],
): Pick<UnmergePlan, 'claims' | 'survivorClaims'> {
  const claims = moved.claims.flatMap(({ isNew, ...claim }) => {
    if (survivor.claims.some(isSame(claim))) return [{ ...claim, isShared: !isNew }];
    leftBehind.push({ kind: 'CLAIM', name: claim.value, reason: 'GONE' });
    return [];
  });
  return { claims, survivorClaims: moved.endedClaims.filter((claim) => identifiersBack.some(isSame(claim))) };
}

/**
 * Where one of the two had opted out for both, each is as it was. What the person has said since stays with the survivor; an
 * opt-out counts for the other too, whose inbox the survivor's was.
 */
function decideInboxes({ facts, inboxes: now }: UnmergeSituation, leftBehind: LeftBehind[]): InboxConsent[] {
  const { inboxes: before } = facts.moved;
  if (before) {
    const optedOut = before.survivor.isSubscribed ? before.merged : before.survivor;
    if (isDeepStrictEqual(now.survivor, { ...optedOut, id: before.survivor.id }))
      return [before.survivor, before.merged];
    leftBehind.push({ kind: 'INBOX_CONSENT', name: before.survivor.id, reason: 'CHANGED' });
  }
  const merged = before?.merged ?? now.merged;
  if (!now.survivor.isSubscribed && merged.isSubscribed) return [{ ...now.survivor, id: merged.id }];
  return before ? [merged] : [];
}

/**
 * Values that the survivor got go, unless they are others by now: those were written for the survivor. So was whatever is of
 * an attribute that was not there at the merge, though its name was.
 */
function decideValues(
  { facts: { moved, ...before }, survivor: { user }, redefined }: UnmergeSituation,
  leftBehind: LeftBehind[],
): Partial<User> {
  const standard = moved.attributes.filter((name) => {
    const isTheirs = isDeepStrictEqual(user[name], before.merged[name]);
    if (!isTheirs) leftBehind.push({ kind: 'ATTRIBUTE', name, reason: 'CHANGED' });
    return isTheirs;
  });
  const now = parseCustomAttributesColumn(user.customAttributes);
  const isTheirs = (name: string) =>
    Object.hasOwn(now, name) &&
    !redefined.has(name) &&
    isDeepStrictEqual(now[name], before.merged.customAttributes[name]);
  const custom = moved.customAttributes.filter((name) => {
    if (!isTheirs(name)) leftBehind.push({ kind: 'CUSTOM_ATTRIBUTE', name, reason: 'CHANGED' });
    return isTheirs(name);
  });
  const kept = Object.entries(now).filter(([name]) => !custom.includes(name));
  const given = Object.entries(before.survivor.customAttributes).filter(([name]) => custom.includes(name));
  return {
    ...Object.fromEntries(standard.map((name) => [name, before.survivor[name]])),
    ...(custom.length > 0 && { customAttributes: Object.fromEntries([...kept, ...given]) }),
    ...(moved.tags.length > 0 && { tags: user.tags.filter((tag) => !moved.tags.includes(tag)) }),
  };
}
