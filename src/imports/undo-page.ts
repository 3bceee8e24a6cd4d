import { z } from 'zod';
import { holdAttributeDefinitions } from '../attributes/custom-attributes.ts';
import type { Deployment } from '../deployment.ts';
import type { User } from '../generated/prisma/client.ts';
import { removeIdentifiers } from '../identity/remove-identifiers.ts';
import { lockUsers, type NamedUser, type OwnedIdentifier } from '../identity/user-identity-store.ts';
import { updateUsers } from '../identity/user-rows.ts';
import { idSchema } from '../ids.ts';
import type { Cipher } from '../storage/cipher.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { inTransaction } from '../storage/transaction.ts';
import { type AttributeValues, customPrefix, fingerprintOf } from './attribute-values.ts';
import { decideUndo, type UndoCounts, type UndoSituation, type UserUndo } from './decide-undo.ts';
import { importPrincipal } from './import-page.ts';

/** @default 500 // users a page, that is a transaction */
const usersPerPage = 500;

const valuesSchema = z.record(z.string(), z.unknown());
const changeSchema = z.object({
  user_id: idSchema,
  fingerprint: z.string(),
  /** Null: the import has made the user. */
  change: z
    .object({
      before: valuesSchema,
      after: valuesSchema,
      added: z.array(z.object({ kind: z.enum(['EXTERNAL_USER_ID', 'EMAIL', 'PHONE']), value: z.string() })),
    })
    .nullable(),
});
type Change = z.infer<typeof changeSchema>;

/** Undoes what an import has done to a page of users. @returns of how many; 0: none is left. */
export async function undoPage({ db, cipher }: Deployment, importId: string): Promise<number> {
  return inTransaction(db, async (tx) => {
    const changes = await takeChanges(tx, importId);
    const ids = changes.map((change) => change.user_id);
    if (ids.length === 0) return 0;
    // Nothing may come to refer to a user that goes; what is about to is waited for.
    await tx.$queryRaw(sql`select id from users where id = any(${ids}::uuid[]) order by id for update`);
    const users = await lockUsers(tx, ids);
    const facts = await readFacts(tx, ids, importPrincipal(importId));
    const undos = changes.flatMap((change) => {
      const named = users.get(change.user_id);
      // Whoever was erased has nothing left that could be undone.
      return named ? [{ named, undo: decideUndo(toSituation(cipher, { change, named, facts })) }] : [];
    });
    await restoreValues(tx, undos);
    await takeAway(tx, cipher, undos);
    await removeUsers(
      tx,
      undos.filter(({ undo }) => undo.isRemoved).map(({ named }) => named.user.id),
    );
    await tx.$executeRaw(sql`
      delete from import_changes where import_id = ${importId}::uuid and user_id = any(${ids}::uuid[])
    `);
    await addCounts(tx, importId, undos);
    return changes.length;
  });
}

interface Decided {
  named: NamedUser;
  undo: UserUndo;
}

async function takeChanges(tx: Transaction, importId: string): Promise<Change[]> {
  const rows = await tx.$queryRaw<unknown[]>(sql`
    select user_id, encode(fingerprint, 'hex') as fingerprint,
      case when not is_made then jsonb_build_object('before', before, 'after', after, 'added', added) end as change
    from import_changes where import_id = ${importId}::uuid
    order by user_id limit ${usersPerPage}
  `);
  return rows.map((row) => changeSchema.parse(row));
}

interface Facts {
  is_merged: boolean;
  has_installation: boolean;
  has_deliveries: boolean;
  touched: (string | null)[];
}

/** What has become of users since, which is not in their rows. */
async function readFacts(tx: Transaction, ids: readonly string[], by: string): Promise<Map<string, Facts>> {
  const rows = await tx.$queryRaw<(Facts & { id: string })[]>(sql`
    select u.id,
      u.merged_into_id is not null
        or exists (select from merge_records m where m.survivor_id = u.id)
        or exists (select from merge_records m where m.merged_id = u.id) as is_merged,
      exists (select from installations i where i.user_id = u.id) as has_installation,
      exists (select from deliveries d where d.user_id = u.id) as has_deliveries,
      array(
        select r.address from recipients r
        where r.user_id = u.id
          and (r.language is not null or r.region is not null or (r.consent_by is not null and r.consent_by <> ${by}))
        union all
        -- What is known of the person, and not of an address.
        select null where exists (select from topic_preferences p where p.user_id = u.id)
          or exists (select from tracked_events e where e.user_id = u.id)
      ) as touched
    from users u where u.id = any(${[...ids]}::uuid[])
  `);
  return new Map(rows.map((row) => [row.id, row]));
}

function toSituation(
  cipher: Cipher,
  { change, named, facts }: { change: Change; named: NamedUser; facts: ReadonlyMap<string, Facts> },
): UndoSituation {
  const known = facts.get(named.user.id);
  if (!known) throw new Error('A user who is locked is there.');
  return {
    named,
    change: change.change
      ? { isMade: false, ...change.change }
      : { isMade: true, isUntouched: fingerprintOf(cipher, named) === change.fingerprint },
    isMerged: known.is_merged,
    hasInstallation: known.has_installation,
    hasDeliveries: known.has_deliveries,
    touchedAddresses: new Set(known.touched),
  };
}

/** A custom attribute that is defined no more gets no value back. */
async function restoreValues(tx: Transaction, undos: readonly Decided[]): Promise<void> {
  const changed = undos.filter(({ undo }) => Object.keys(undo.values).length > 0);
  const names = changed.flatMap(({ undo }) => Object.keys(undo.values).filter((name) => name.startsWith(customPrefix)));
  const customNames = names.map((name) => name.slice(customPrefix.length));
  const defined = customNames.length === 0 ? new Map() : await holdAttributeDefinitions(tx, 'USER', customNames);
  await updateUsers(
    tx,
    changed.map(({ named, undo }) => withValues(named.user, undo.values, (name) => defined.has(name))),
  );
}

function withValues(user: User, values: AttributeValues, isDefined: (name: string) => boolean): User {
  const custom = new Map<string, unknown>(Object.entries(Object(user.customAttributes)));
  const standard = new Map<string, unknown>();
  for (const [name, value] of Object.entries(values)) {
    if (!name.startsWith(customPrefix)) standard.set(name, name === 'birthday' ? toDay(value) : value);
    else if (value === null || !isDefined(name.slice(customPrefix.length)))
      custom.delete(name.slice(customPrefix.length));
    else custom.set(name.slice(customPrefix.length), value);
  }
  return Object.assign({ ...user }, Object.fromEntries(standard), { customAttributes: Object.fromEntries(custom) });
}

function toDay(value: unknown): Date | null {
  return typeof value === 'string' ? new Date(`${value}T00:00:00Z`) : null;
}

/** Takes identifiers away, of users who go all of them. Opt-outs of their addresses stay as suppressions. */
async function takeAway(tx: Transaction, cipher: Cipher, undos: readonly Decided[]): Promise<void> {
  const owned = undos.flatMap(({ named, undo }): OwnedIdentifier[] =>
    (undo.isRemoved ? named.identifiers : undo.identifiers).map(({ kind, value }) => ({
      kind,
      value,
      userId: named.user.id,
    })),
  );
  const isAddress = ({ kind }: OwnedIdentifier) => kind !== 'EXTERNAL_USER_ID';
  await removeIdentifiers(tx, cipher, owned.filter(isAddress));
  const externalUserIds = owned.filter((identifier) => !isAddress(identifier)).map(({ value }) => value);
  await tx.$executeRaw(sql`
    delete from identifiers where kind = 'EXTERNAL_USER_ID' and value = any(${externalUserIds}::text[])
  `);
}

/** Removes users who are called nothing any more and have nothing but an inbox. The users are locked. */
async function removeUsers(tx: Transaction, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const users = sql`${[...ids]}::uuid[]`;
  await tx.$executeRaw(sql`delete from segment_members where user_id = any(${users})`);
  await tx.$executeRaw(sql`delete from recipients where user_id = any(${users})`);
  await tx.$executeRaw(sql`delete from users where id = any(${users})`);
}

async function addCounts(tx: Transaction, importId: string, undos: readonly Decided[]): Promise<void> {
  const counts: UndoCounts = {};
  const count = (name: keyof UndoCounts) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  for (const { undo } of undos) {
    if (undo.isRemoved) count('removed');
    else if (undo.left.length === 0) count('restored');
    for (const reason of undo.left) count(reason);
  }
  await tx.$executeRaw(sql`
    update imports set undo_counts = (
      select coalesce(jsonb_object_agg(name, total), '{}')
      from (
        select name, sum(value::int) as total
        from (select * from jsonb_each_text(undo_counts) union all select * from jsonb_each_text(${JSON.stringify(counts)}::jsonb))
          as each (name, value)
        group by name
      ) totals
    )
    where id = ${importId}::uuid
  `);
}
