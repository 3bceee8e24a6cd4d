import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { MergeRecord } from '../generated/prisma/client.ts';
import { camelCaseKeys, sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { decideUnmerge } from './decide-unmerge.ts';
import { type LeftBehind, parseUndoFacts, type UndoFacts } from './merge-record.ts';
import { applyUnmerge, cancelOthersDeliveries, readUnmergeSituation, type UnmergedPair } from './unmerge-store.ts';
import { lockUsers } from './user-identity-store.ts';

/** Takes two users apart again. */
export interface UnmergeRequest {
  principal: string;
  mergeRecordId: string;
  idempotencyKey?: string | null | undefined;
}

/** Ids only, so that it can be kept for a repeat: what was left behind stands in the record. */
export interface Unmerged {
  survivorId: string;
  restoredId: string;
  mergeRecordId: string;
}

/**
 * Undoes a merge or the absorption of a lead (decision 5): what moved and is still the survivor's goes back, the merged user is
 * one of its own again, and so are those that had been merged into it before. What was changed since stays with the survivor; what
 * could not be given back is told in the record. Of one survivor the newest merge is undone first.
 *
 * From the commit on nothing that is targeted at the one person reaches an installation of the other.
 *
 * @throws DomainError `NOT_FOUND`, `STATE_CONFLICT`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function unmergeUsers(deployment: Deployment, request: UnmergeRequest): Promise<Unmerged> {
  const { principal, idempotencyKey, mergeRecordId } = request;
  const named = { principal, mutation: 'unmergeUsers', idempotencyKey, input: { mergeRecordId } };
  return write(deployment, named, async (tx) => {
    const { pair, facts } = await lockPair(tx, mergeRecordId);
    const plan = decideUnmerge(await readUnmergeSituation(tx, pair, facts));
    await applyUnmerge(tx, pair, { plan, tombstones: facts.moved.tombstones });
    await markUndone(tx, { mergeRecordId, principal, leftBehind: plan.leftBehind });
    const restoredId = pair.merged.user.id;
    await cancelOthersDeliveries(tx, restoredId);
    return { survivorId: pair.survivor.user.id, restoredId, mergeRecordId };
  });
}

/** Locks both users, with the tombstones that will point elsewhere. @throws DomainError `NOT_FOUND`, `STATE_CONFLICT`. */
async function lockPair(tx: Transaction, id: string): Promise<{ pair: UnmergedPair; facts: UndoFacts }> {
  const { survivorId, mergedId, ...record } = await getRecord(tx, id);
  if (record.undoneAt !== null) throw undoneAlready();
  const facts = parseUndoFacts(record);
  const users = await lockUsers(tx, [survivorId, mergedId, ...(facts?.moved.tombstones ?? [])]);
  const survivor = users.get(survivorId);
  const merged = users.get(mergedId);
  if (!survivor || !merged) throw notFound();
  // Whoever changes these holds the survivor's lock.
  if ((await getRecord(tx, id)).undoneAt !== null) throw undoneAlready();
  if (survivor.user.mergedIntoId !== null) {
    throw conflict('The survivor was itself merged since: undo that merge first.');
  }
  const newestId = await findNewest(tx, survivorId);
  if (newestId !== id) throw conflict(`Merges are undone newest first: undo ${newestId} before.`);
  if (!facts) throw conflict('An earlier version has made this merge, and has not kept what an undo needs.');
  return { pair: { survivor, merged }, facts };
}

type RecordRead = Pick<MergeRecord, 'survivorId' | 'mergedId' | 'before' | 'moved' | 'createdAt' | 'undoneAt'>;

async function getRecord(tx: Transaction, id: string): Promise<RecordRead> {
  const [row] = await tx.$queryRaw<object[]>(
    sql`select survivor_id, merged_id, before, moved, created_at, undone_at from merge_records where id = ${id}::uuid`,
  );
  if (!row) throw notFound();
  return camelCaseKeys<RecordRead>(row);
}

/** Of what was merged into a user and not undone, the newest. */
async function findNewest(tx: Transaction, survivorId: string): Promise<string | null> {
  const [row] = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from merge_records where survivor_id = ${survivorId}::uuid and undone_at is null
    order by position desc limit 1
  `);
  return row?.id ?? null;
}

/** What the two had before is needed by nobody any more, and may be a third one's who is erased one day. */
async function markUndone(
  tx: Transaction,
  {
    mergeRecordId,
    principal,
    leftBehind,
  }: { mergeRecordId: string; principal: string; leftBehind: readonly LeftBehind[] },
): Promise<void> {
  await tx.$executeRaw(sql`
    update merge_records
    set undone_at = now(), undone_by = ${principal}, left_behind = ${JSON.stringify(leftBehind)}::jsonb, before = '{}'
    where id = ${mergeRecordId}::uuid
  `);
}

function notFound(): DomainError {
  return new DomainError('NOT_FOUND', 'There is no such merge record.', ['mergeRecord']);
}

function undoneAlready(): DomainError {
  return conflict('The merge was undone already.');
}

function conflict(message: string): DomainError {
  return new DomainError('STATE_CONFLICT', message, ['mergeRecord']);
}
