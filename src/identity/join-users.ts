import type { User } from '../generated/prisma/client.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { moveClaims } from './identifier-claims.ts';
import { type NamedUser, shownExternalUserId } from './user-identity-store.ts';

/** Two users that become one. Both are locked. */
export interface Join {
  survivor: NamedUser;
  merged: NamedUser;
  /** Principal that asked for it. */
  actor: string;
  /** The mutation that did it. */
  reason: 'personalize' | 'mergeUsers';
}

/**
 * Makes two users one: everything of `merged` moves to `survivor`, whose own values win; blanks are filled, tags and
 * memberships united, an opt-out of the inbox kept. `merged` becomes a tombstone that points to the survivor, and so do
 * the tombstones that pointed to it, so that there are no chains. Deliveries keep the user that they were made for.
 *
 * @returns the id of the merge record, which holds what an undo needs.
 */
export async function joinUsers(tx: Transaction, { survivor, merged, actor, reason }: Join): Promise<string> {
  const from = merged.user.id;
  const to = survivor.user.id;
  const moved = {
    identifiers: await moveIdentifiers(tx, { from, to, toAlias: shownExternalUserId(survivor) !== null }),
    installations: await moveInstallations(tx, from, to),
    recipients: await moveRecipients(tx, from, to),
    segments: await moveMemberships(tx, from, to),
    claims: await moveClaims(tx, from, to),
  };
  await tx.user.update({ where: { id: to }, data: fillBlanks(survivor.user, merged.user) });
  await tx.$executeRaw(
    sql`update users set merged_into_id = ${to}::uuid where id = ${from}::uuid or merged_into_id = ${from}::uuid`,
  );
  const record = await tx.mergeRecord.create({
    data: {
      id: newId(),
      survivorId: to,
      mergedId: from,
      actor,
      reason,
      before: JSON.parse(JSON.stringify({ survivor: survivor.user, merged: merged.user })),
      moved,
    },
  });
  return record.id;
}

const fillable = [
  'displayName',
  'firstName',
  'middleName',
  'lastName',
  'gender',
  'birthday',
  'preferredLanguage',
  'preferredChannel',
  'timeZone',
  'country',
  'region',
  'pictureUrl',
] as const satisfies readonly (keyof User)[];

/** What changes on the survivor's row: blanks that the other fills, and the united tags. */
function fillBlanks(survivor: User, merged: User): Partial<Pick<User, (typeof fillable)[number] | 'tags'>> {
  const filled = fillable.filter((name) => survivor[name] === null && merged[name] !== null);
  return {
    ...Object.fromEntries(filled.map((name) => [name, merged[name]])),
    tags: [...new Set([...survivor.tags, ...merged.tags])].sort(),
  };
}

async function moveIdentifiers(
  tx: Transaction,
  { from, to, toAlias }: { from: string; to: string; toAlias: boolean },
): Promise<{ kind: string; value: string }[]> {
  return tx.$queryRaw(sql`
    update identifiers
    set user_id = ${to}::uuid, is_alias = is_alias or (kind = 'EXTERNAL_USER_ID' and ${toAlias})
    where user_id = ${from}::uuid
    returning kind::text, value
  `);
}

/** At most one primary installation per user and app: the survivor's stays. */
async function moveInstallations(tx: Transaction, from: string, to: string): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    update installations i
    set user_id = ${to}::uuid,
      is_primary_device = is_primary_device and not exists (
        select from installations s where s.user_id = ${to}::uuid and s.app_id = i.app_id and s.is_primary_device
      )
    where user_id = ${from}::uuid
    returning id
  `);
  return rows.map((row) => row.id);
}

/** The inbox stays with the tombstone, as the survivor has one; an opt-out of either counts for both. */
async function moveRecipients(tx: Transaction, from: string, to: string): Promise<string[]> {
  await tx.$executeRaw(sql`
    update recipients set is_subscribed = false
    where user_id in (${from}::uuid, ${to}::uuid) and channel = 'IN_APP' and exists (
      select from recipients where user_id in (${from}::uuid, ${to}::uuid) and channel = 'IN_APP' and not is_subscribed
    )
  `);
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    update recipients set user_id = ${to}::uuid where user_id = ${from}::uuid and channel <> 'IN_APP' returning id
  `);
  return rows.map((row) => row.id);
}

async function moveMemberships(tx: Transaction, from: string, to: string): Promise<string[]> {
  const rows = await tx.$queryRaw<{ segment_id: string }[]>(sql`
    with left_behind as (delete from segment_members where user_id = ${from}::uuid returning segment_id, added_at),
    joined as (
      insert into segment_members (segment_id, user_id, added_at)
      select segment_id, ${to}::uuid, added_at from left_behind
      on conflict (segment_id, user_id) do nothing
    )
    select segment_id from left_behind
  `);
  return rows.map((row) => row.segment_id);
}
