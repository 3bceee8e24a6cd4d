import type { User } from '../../generated/prisma/client.ts';
import { newId } from '../../ids.ts';
import { sql, type Transaction, withChanges } from '../../storage/database.ts';
import type { Identifier } from '../identifier.ts';
import { moveClaims } from '../identifier-claims.ts';
import type { NamedUser } from '../user-identity-store.ts';
import { updateUser } from '../user-rows.ts';
import { decideJoin, type JoinPlan } from './decide-join.ts';
import { type Moved, parseCustomAttributesColumn } from './merge-record.ts';
import { moveTopicPreferences } from './topic-preferences.ts';

/** Two users that become one. Both are locked. */
export interface Join {
  survivor: NamedUser;
  merged: NamedUser;
  /** Principal that asked for it. */
  actor: string;
  /** The mutation that did it. */
  reason: 'personalize' | 'mergeUsers';
  /** @default what `decideJoin` says without overrides */
  plan?: JoinPlan;
  /** What the survivor's row becomes. @default what `joinedUser` says */
  outcome?: User;
}

/**
 * Makes two users one: everything of `merged` moves to `survivor`, whose own values win; blanks are filled, tags and
 * memberships united, an opt-out of the inbox or of a topic kept. `merged` becomes a tombstone that points to the survivor, and so do
 * the tombstones that pointed to it, so that there are no chains. Deliveries and events keep the user that they were made for.
 *
 * Of a lead without a name, claims and values, that has hardly been used, this is one statement.
 *
 * @returns the id of the merge record, which holds what an undo needs.
 */
export async function joinUsers(tx: Transaction, join: Join): Promise<string> {
  const { survivor, merged, plan = decideJoin(survivor, merged) } = join;
  const from = merged.user.id;
  const to = survivor.user.id;
  const claims = decideClaims(survivor, merged);
  if (merged.identifiers.length > 0) await moveIdentifiers(tx, { from, to, toAlias: plan.toAlias });
  if (claims.claims.length + claims.endedClaims.length > 0) await moveClaims(tx, { from, to, ...claims });
  await updateUser(tx, survivor.user, join.outcome ?? joinedUser(survivor, merged, plan));
  const { attributes, customAttributes, tags } = plan;
  const told = {
    identifiers: merged.identifiers.map(({ kind, value, isAlias }) => ({ kind, value, isAlias })),
    ...claims,
    ...{ attributes, customAttributes, tags },
  };
  const id = newId();
  const isDone = merged.identifiers.length === 0 && (await moveFewRowsAndRecord(tx, { ...join, id }, told));
  if (isDone) return id;
  const topicPreferences = await moveTopicPreferences(tx, { from, to });
  await moveRowsAndRecord(tx, { ...join, id }, { ...told, topicPreferences });
  return id;
}

/** What becomes of what clients claim: nobody needs a claim of what the one user is verified to be called. Pure. */
function decideClaims(survivor: NamedUser, merged: NamedUser): Pick<Moved, 'claims' | 'endedClaims'> {
  const isIn = ({ kind, value }: Identifier, list: readonly Identifier[]) =>
    list.some((other) => other.kind === kind && other.value === value);
  const identifiers = [...survivor.identifiers, ...merged.identifiers];
  return {
    claims: merged.claims.map(({ kind, value }) => {
      const claim = { kind, value };
      return { ...claim, isNew: !isIn(claim, survivor.claims) && !isIn(claim, identifiers) };
    }),
    endedClaims: survivor.claims
      .filter((claim) => isIn(claim, merged.identifiers))
      .map(({ kind, value }) => ({ kind, value })),
  };
}

/** The survivor's row as the plan makes it. Pure. */
export function joinedUser(survivor: NamedUser, merged: NamedUser, plan = decideJoin(survivor, merged)): User {
  const { user } = survivor;
  const changes: Partial<User> = Object.fromEntries(plan.attributes.map((name) => [name, merged.user[name]]));
  if (plan.tags.length > 0) changes.tags = [...user.tags, ...plan.tags].sort();
  if (plan.customAttributes.length > 0) {
    const other = parseCustomAttributesColumn(merged.user.customAttributes);
    changes.customAttributes = {
      ...parseCustomAttributesColumn(user.customAttributes),
      ...Object.fromEntries(plan.customAttributes.map((name) => [name, other[name]])),
    };
  }
  return withChanges(user, changes);
}

async function moveIdentifiers(
  tx: Transaction,
  { from, to, toAlias }: { from: string; to: string; toAlias: boolean },
): Promise<void> {
  await tx.$executeRaw(sql`
    update identifiers
    set user_id = ${to}::uuid, is_alias = is_alias or (kind = 'EXTERNAL_USER_ID' and ${toAlias})
    where user_id = ${from}::uuid
  `);
}

/** What is known of a move before the rest is moved. */
type Told = Pick<Moved, 'identifiers' | 'claims' | 'endedClaims' | 'attributes' | 'customAttributes' | 'tags'>;

/**
 * Moves installations, recipients and memberships, makes the tombstones, and keeps the record of it all: one statement, whose
 * parts see everything as it was before. At most one installation per user and app is primary: the survivor's stays. The
 * inbox stays with the tombstone, as the survivor has one; an opt-out of either counts for both.
 */
async function moveRowsAndRecord(
  tx: Transaction,
  { id, survivor, merged, actor, reason }: Join & { id: string },
  told: Told & Pick<Moved, 'topicPreferences'>,
): Promise<void> {
  const from = merged.user.id;
  const to = survivor.user.id;
  await tx.$executeRaw(sql`
    with had as (select id, is_primary_device from installations where user_id = ${from}::uuid),
    installation as (
      update installations i
      set user_id = ${to}::uuid,
        is_primary_device = is_primary_device and not exists (
          select from installations s where s.user_id = ${to}::uuid and s.app_id = i.app_id and s.is_primary_device
        )
      where user_id = ${from}::uuid
      returning id, is_primary_device, departures
    ),
    recipient as (
      update recipients set user_id = ${to}::uuid where user_id = ${from}::uuid and channel <> 'IN_APP' returning id
    ),
    inbox as (
      select id, user_id, is_subscribed, consent_at, consent_by from recipients
      where user_id in (${from}::uuid, ${to}::uuid) and channel = 'IN_APP'
    ),
    opted_out as (
      update recipients r set is_subscribed = false, consent_at = other.consent_at, consent_by = other.consent_by
      from inbox own, inbox other
      where r.id = own.id and own.is_subscribed and other.user_id <> own.user_id and not other.is_subscribed
      returning r.id
    ),
    left_segment as (delete from segment_members where user_id = ${from}::uuid returning segment_id, added_at),
    joined_segment as (
      insert into segment_members (segment_id, user_id, added_at)
      select segment_id, ${to}::uuid, added_at from left_segment
      on conflict (segment_id, user_id) do nothing
      returning segment_id
    ),
    tombstone as (
      update users set merged_into_id = ${to}::uuid
      where id = ${from}::uuid or merged_into_id = ${from}::uuid
      returning id
    )
    insert into merge_records (id, survivor_id, merged_id, actor, reason, before, moved)
    select
      ${id}::uuid, ${to}::uuid, ${from}::uuid, ${actor}, ${reason},
      ${JSON.stringify({ survivor: survivor.user, merged: merged.user })}::jsonb,
      ${JSON.stringify(told)}::jsonb || jsonb_build_object(
        'installations', coalesce((
          select jsonb_agg(
            jsonb_build_object(
              'id', id, 'wasPrimary', h.is_primary_device, 'isPrimary', i.is_primary_device, 'departures', i.departures
            ) order by id
          )
          from installation i join had h using (id)
        ), '[]'),
        'recipients', coalesce((select jsonb_agg(id order by id) from recipient), '[]'),
        'segments', coalesce((
          select jsonb_agg(
            jsonb_build_object('id', segment_id, 'addedAt', added_at, 'wasSurvivors', j.segment_id is null)
            order by segment_id
          )
          from left_segment left join joined_segment j using (segment_id)
        ), '[]'),
        'tombstones', coalesce((select jsonb_agg(id order by id) from tombstone where id <> ${from}::uuid), '[]'),
        'inboxes', (
          select jsonb_object_agg(
            case user_id when ${to}::uuid then 'survivor' else 'merged' end,
            jsonb_build_object(
              'id', id, 'isSubscribed', is_subscribed, 'consentAt', consent_at, 'consentBy', consent_by
            )
          )
          from inbox where exists (select from opted_out)
        )
      )
  `);
}

/**
 * The same for a user who has hardly been used, in half the time: without memberships, tombstones, a primary installation, a word
 * on topics, and without an opt-out of either inbox.
 *
 * @returns whether it was such a user; otherwise nothing is done.
 */
async function moveFewRowsAndRecord(
  tx: Transaction,
  { id, survivor, merged, actor, reason }: Join & { id: string },
  told: Told,
): Promise<boolean> {
  const from = merged.user.id;
  const to = survivor.user.id;
  const moved = { ...told, segments: [], tombstones: [], inboxes: null, topicPreferences: null };
  const count = await tx.$executeRaw(sql`
    with plain as materialized (
      select ${from}::uuid as id
      where not exists (select from segment_members where user_id = ${from}::uuid)
        and not exists (select from topic_preferences where user_id = ${from}::uuid)
        and not exists (select from users where merged_into_id = ${from}::uuid)
        and not exists (select from installations where user_id = ${from}::uuid and is_primary_device)
        and not exists (
          select from recipients
          where user_id in (${from}::uuid, ${to}::uuid) and channel = 'IN_APP' and not is_subscribed
        )
    ),
    installation as (
      update installations i set user_id = ${to}::uuid from plain where i.user_id = plain.id returning i.id, i.departures
    ),
    recipient as (
      update recipients r set user_id = ${to}::uuid from plain
      where r.user_id = plain.id and channel <> 'IN_APP'
      returning r.id
    ),
    tombstone as (update users u set merged_into_id = ${to}::uuid from plain where u.id = plain.id)
    insert into merge_records (id, survivor_id, merged_id, actor, reason, before, moved)
    select
      ${id}::uuid, ${to}::uuid, plain.id, ${actor}, ${reason},
      ${JSON.stringify({ survivor: survivor.user, merged: merged.user })}::jsonb,
      ${JSON.stringify(moved)}::jsonb || jsonb_build_object(
        'installations', coalesce((
          select jsonb_agg(
            jsonb_build_object('id', id, 'wasPrimary', false, 'isPrimary', false, 'departures', departures) order by id
          )
          from installation
        ), '[]'),
        'recipients', coalesce((select jsonb_agg(id order by id) from recipient), '[]')
      )
    from plain
  `);
  return count > 0;
}
