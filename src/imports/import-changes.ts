import type { Identifier } from '../identity/identifier.ts';
import type { DecidedBatch } from '../identity/save/save-batch.ts';
import type { UserDraft } from '../identity/save/user-draft.ts';
import type { NamedUser } from '../identity/user-identity-store.ts';
import { arrayLiteral } from '../storage/array-literal.ts';
import type { Cipher } from '../storage/cipher.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { type AttributeValues, fingerprintOf, isSame, toAttributeValues } from './attribute-values.ts';

/** What an import has done to a user who was there: what an undo puts back. */
interface UserChange {
  before: AttributeValues;
  after: AttributeValues;
  added: Identifier[];
}

interface ChangeRow extends Partial<UserChange> {
  user_id: string;
  is_made: boolean;
  fingerprint: string;
  /** As the page found the user; of one that it has made: undefined. */
  fingerprint_before?: string;
}

/** What an undo needs of the users whom a batch writes. Pure. */
export function toChangeRows(cipher: Cipher, { drafts, locked }: Pick<DecidedBatch, 'drafts' | 'locked'>): ChangeRow[] {
  return drafts.flatMap((draft): ChangeRow[] => {
    const before = locked.get(draft.user.id);
    const change = before ? toChange(before, draft) : {};
    if (!change) return [];
    const row = { user_id: draft.user.id, is_made: !before, fingerprint: fingerprintOf(cipher, draft), ...change };
    return [before ? { ...row, fingerprint_before: fingerprintOf(cipher, before) } : row];
  });
}

/** Keeps what an undo of an import needs, in the transaction that writes the users. */
export async function keepChanges(tx: Transaction, importId: string, rows: readonly ChangeRow[]): Promise<void> {
  await joinChanges(
    tx,
    importId,
    rows.filter((row) => !row.is_made),
  );
  await addChanges(tx, importId, rows);
}

/** What differs between a user as it was and as it is to be; null: nothing. */
function toChange(before: NamedUser, draft: UserDraft): UserChange | null {
  const change: UserChange = { before: {}, after: {}, added: draft.added };
  if (draft.isChanged) {
    const [old, now] = [toAttributeValues(before.user), toAttributeValues(draft.user)];
    for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
      if (isSame(old[name], now[name])) continue;
      change.before[name] = old[name] ?? null;
      change.after[name] = now[name] ?? null;
    }
  }
  return change.added.length > 0 || Object.keys(change.after).length > 0 ? change : null;
}

const columns = sql`(
  user_id uuid, is_made boolean, fingerprint text, fingerprint_before text, before jsonb, after jsonb, added jsonb
)`;

/**
 * Of users whom the same import has written before: the first values before stay, and the last ones after. One that it has
 * made, and that somebody else has touched in between, keeps a fingerprint that is no longer its own.
 */
async function joinChanges(tx: Transaction, importId: string, rows: readonly ChangeRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.$executeRaw(sql`
    update import_changes known set
      fingerprint = case
        when known.fingerprint = decode(given.fingerprint_before, 'hex') then decode(given.fingerprint, 'hex')
        else known.fingerprint
      end,
      before = given.before || known.before, after = known.after || given.after, added = known.added || given.added
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given ${columns}
    where known.user_id = given.user_id and known.import_id = ${importId}::uuid
  `);
}

async function addChanges(tx: Transaction, importId: string, rows: readonly ChangeRow[]): Promise<void> {
  if (rows.length === 0) return;
  const column = (toText: (row: ChangeRow) => string | null) => arrayLiteral(rows.map(toText));
  const json = (value: object | undefined) => (value === undefined ? null : JSON.stringify(value));
  await tx.$executeRaw(sql`
    insert into import_changes (import_id, user_id, is_made, fingerprint, before, after, added)
    select ${importId}::uuid, user_id, is_made, decode(fingerprint, 'hex'), before, after, added
    from unnest(
      ${column(({ user_id }) => user_id)}::uuid[],
      ${column(({ is_made }) => String(is_made))}::boolean[],
      ${column(({ fingerprint }) => fingerprint)}::text[],
      ${column(({ before }) => json(before))}::jsonb[],
      ${column(({ after }) => json(after))}::jsonb[],
      ${column(({ added }) => json(added))}::jsonb[]
    ) as given (user_id, is_made, fingerprint, before, after, added)
    on conflict (user_id, import_id) do nothing
  `);
}
