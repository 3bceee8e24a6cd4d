import type { Channel, IdentifierKind } from '../../generated/prisma/enums.ts';
import { sql, type Transaction, withChanges } from '../../storage/database.ts';
import { holdTopics, readPreferences, writePreferences } from '../../topics/preference-store.ts';
import { addClaims, forgetAbandonedClaims, handClaims } from '../identifier-claims.ts';
import type { NamedUser } from '../user-identity-store.ts';
import { updateUser } from '../user-rows.ts';
import type { UnmergePlan, UnmergeSituation } from './decide-unmerge.ts';
import type { InboxConsent, UndoFacts } from './merge-record.ts';

/** The two users of a merge that is being undone, locked. */
export interface UnmergedPair {
  survivor: NamedUser;
  merged: NamedUser;
}

/** Reads what has become of what moved; locks the installations, in id order. The users are locked. */
export async function readUnmergeSituation(
  tx: Transaction,
  { survivor, merged }: UnmergedPair,
  facts: UndoFacts,
): Promise<UnmergeSituation> {
  const { moved, mergedAt } = facts;
  const kinds = moved.identifiers.map(({ kind }) => kind);
  const values = moved.identifiers.map(({ value }) => value);
  const installations = await tx.$queryRaw<
    { id: string; appId: string; userId: string; isPrimaryDevice: boolean; departures: number }[]
  >(sql`
    select id, app_id as "appId", user_id as "userId", is_primary_device as "isPrimaryDevice", departures
    from installations
    where id = any(${moved.installations.map(({ id }) => id)}::uuid[])
    order by id for no key update
  `);
  const identifiers = await tx.$queryRaw<{ kind: IdentifierKind; value: string; userId: string }[]>(sql`
    select i.kind::text, i.value, i.user_id as "userId"
    from unnest(${kinds}::identifier_kind[], ${values}::text[]) as moved (kind, value)
    join identifiers i on i.kind = moved.kind and i.value = moved.value
  `);
  const recipients = await tx.$queryRaw<{ id: string; userId: string; channel: Channel; address: string | null }[]>(sql`
    select id, user_id as "userId", channel::text, address from recipients
    where channel in ('EMAIL', 'SMS') and (id = any(${moved.recipients}::uuid[]) or address = any(${values}::text[]))
  `);
  const segments = await tx.$queryRaw<{ id: string; addedAt: Date }[]>(sql`
    select segment_id as id, added_at as "addedAt" from segment_members
    where user_id = ${survivor.user.id}::uuid and segment_id = any(${moved.segments.map(({ id }) => id)}::uuid[])
  `);
  const rows = await tx.$queryRaw<{ name: string }[]>(sql`
    select name from attribute_definitions
    where owner = 'USER' and name = any(${moved.customAttributes}::text[]) and created_at >= ${mergedAt}
  `);
  const redefined = new Set(rows.map(({ name }) => name));
  const inboxes = await readInboxes(tx, survivor.user.id, merged.user.id);
  const topicIds = moved.topicPreferences?.merged.map(({ topicId }) => topicId) ?? [];
  const topics = topicIds.length > 0 ? await holdTopics(tx, topicIds) : new Set<string>();
  const preferences = (await readPreferences(tx, [survivor.user.id])).get(survivor.user.id) ?? new Map();
  return {
    ...{ facts, survivor, identifiers, installations, recipients, segments, redefined, inboxes },
    ...{ topics, preferences },
  };
}

async function readInboxes(
  tx: Transaction,
  survivorId: string,
  mergedId: string,
): Promise<UnmergeSituation['inboxes']> {
  const rows = await tx.$queryRaw<(InboxConsent & { userId: string })[]>(sql`
    select
      user_id as "userId", id, is_subscribed as "isSubscribed", consent_at as "consentAt", consent_by as "consentBy"
    from recipients
    where user_id in (${survivorId}::uuid, ${mergedId}::uuid) and channel = 'IN_APP'
  `);
  const inboxOf = new Map(rows.map(({ userId, ...inbox }) => [userId, inbox]));
  const [survivor, merged] = [inboxOf.get(survivorId), inboxOf.get(mergedId)];
  if (!survivor || !merged) throw new Error('A user has no inbox.');
  return { survivor, merged };
}

/** Moves back what the plan says, and lets the tombstones point to whom they pointed. */
export async function applyUnmerge(
  tx: Transaction,
  { survivor, merged }: UnmergedPair,
  { plan, tombstones }: { plan: UnmergePlan; tombstones: readonly string[] },
): Promise<void> {
  const [from, to] = [survivor.user.id, merged.user.id];
  await tx.$executeRaw(sql`
    update users set merged_into_id = case when id <> ${to}::uuid then ${to}::uuid end
    where merged_into_id = ${from}::uuid and (id = ${to}::uuid or id = any(${[...tombstones]}::uuid[]))
  `);
  await moveIdentifiersBack(tx, to, plan.identifiers);
  await moveInstallationsBack(tx, to, plan);
  await moveSegmentsBack(tx, { from, to }, plan.segments);
  await moveClaimsBack(tx, { from, to }, plan);
  await writeInboxes(tx, plan.inboxes);
  await writePreferences(tx, from, plan.preferences.survivor);
  await writePreferences(tx, to, plan.preferences.merged);
  await updateUser(tx, survivor.user, withChanges(survivor.user, plan.survivorData));
}

async function writeInboxes(tx: Transaction, inboxes: readonly InboxConsent[]): Promise<void> {
  if (inboxes.length === 0) return;
  await tx.$executeRaw(sql`
    update recipients r
    set is_subscribed = given."isSubscribed", consent_at = given."consentAt", consent_by = given."consentBy"
    from jsonb_to_recordset(${JSON.stringify(inboxes)}::jsonb)
      as given (id uuid, "isSubscribed" boolean, "consentAt" timestamptz, "consentBy" text)
    where r.id = given.id
  `);
}

async function moveIdentifiersBack(tx: Transaction, to: string, identifiers: UnmergePlan['identifiers']) {
  if (identifiers.length === 0) return;
  await tx.$executeRaw(sql`
    update identifiers i set user_id = ${to}::uuid, is_alias = back.is_alias
    from unnest(
      ${identifiers.map(({ kind }) => kind)}::identifier_kind[], ${identifiers.map(({ value }) => value)}::text[],
      ${identifiers.map(({ isAlias }) => isAlias)}::boolean[]
    ) as back (kind, value, is_alias)
    where i.kind = back.kind and i.value = back.value
  `);
}

async function moveInstallationsBack(
  tx: Transaction,
  to: string,
  { installations, recipients }: Pick<UnmergePlan, 'installations' | 'recipients'>,
): Promise<void> {
  const ids = installations.map(({ id }) => id);
  await tx.$executeRaw(sql`
    update installations i set user_id = ${to}::uuid, is_primary_device = back.is_primary
    from unnest(${ids}::uuid[], ${installations.map(({ isPrimary }) => isPrimary)}::boolean[]) as back (id, is_primary)
    where i.id = back.id
  `);
  await tx.$executeRaw(sql`
    update recipients set user_id = ${to}::uuid
    where installation_id = any(${ids}::uuid[]) or id = any(${recipients}::uuid[])
  `);
}

async function moveSegmentsBack(
  tx: Transaction,
  { from, to }: { from: string; to: string },
  segments: UnmergePlan['segments'],
): Promise<void> {
  if (segments.length === 0) return;
  const left = segments.filter(({ isShared }) => !isShared).map(({ id }) => id);
  await tx.$executeRaw(sql`
    delete from segment_members where user_id = ${from}::uuid and segment_id = any(${left}::uuid[])
  `);
  await tx.$executeRaw(sql`
    insert into segment_members (segment_id, user_id, added_at)
    select id, ${to}::uuid, added_at
    from unnest(${segments.map(({ id }) => id)}::uuid[], ${segments.map(({ addedAt }) => addedAt)}::timestamptz[])
      as back (id, added_at)
  `);
}

async function moveClaimsBack(
  tx: Transaction,
  { from, to }: { from: string; to: string },
  { claims, survivorClaims }: Pick<UnmergePlan, 'claims' | 'survivorClaims'>,
): Promise<void> {
  if (claims.length + survivorClaims.length === 0) return;
  await handClaims(
    tx,
    { from, to },
    claims.filter(({ isShared }) => !isShared),
  );
  await addClaims(
    tx,
    to,
    claims.filter(({ isShared }) => isShared),
  );
  await addClaims(tx, from, survivorClaims);
  await forgetAbandonedClaims(tx, [from, to]);
}

/**
 * Ends what is queued at addresses of `userId` for another person than that, who had the address until now. What is meant for
 * the installation itself still goes there. Changes deliveries, so it is the last statement of its transaction (see the
 * delivery log's lock). What is being sent right now checks its ownership again by itself.
 */
export async function cancelOthersDeliveries(tx: Transaction, userId: string): Promise<void> {
  await tx.$executeRaw(sql`
    update deliveries d set status = 'CANCELLED', reason = 'DEPERSONALIZED', status_at = now()
    from recipients r, users meant
    where r.user_id = ${userId}::uuid and d.recipient_id = r.id and d.status = 'QUEUED' and not d.is_broadcast
      and meant.id = d.user_id and coalesce(meant.merged_into_id, meant.id) <> r.user_id
  `);
}
