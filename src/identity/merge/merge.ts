import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import type { Transaction } from '../../storage/database.ts';
import { StaleReadError } from '../../storage/transaction.ts';
import { write } from '../../storage/write.ts';
import { lockUsers } from '../user-identity-store.ts';
import {
  parseUserReference,
  resolveUserReferences,
  type UserReference,
  type UserReferenceInput,
} from '../user-reference.ts';
import type { MergeOverrides } from './decide-join.ts';
import { decideMerge } from './decide-merge.ts';
import { joinUsers } from './join-users.ts';
import { countMergesLately, findTombstones } from './merge-record-store.ts';

/** Which two users are to be joined, and how. */
export interface MergePair {
  survivor: UserReferenceInput;
  merged: UserReferenceInput;
  /** Two different external user ids: keep the merged one as an alias that goes on resolving. @default false */
  allowAlias: boolean;
  /** For which attributes the merged user's value wins. @default none */
  overrides?: MergeOverrides | undefined;
}

/** Joins two users. */
export interface MergeRequest extends MergePair {
  principal: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Joins two users (decision 3): `merged` becomes a tombstone that redirects to `survivor`, whose values win unless
 * `overrides` says otherwise. `unmergeUsers` undoes it.
 *
 * @throws DomainError `NOT_FOUND`, `MERGE_CONFLICT`, `IDENTIFIER_LIMIT_EXCEEDED`, `MERGE_LIMIT_EXCEEDED`, `EMAIL_INVALID`,
 * `PHONE_INVALID`, `VALUE_INVALID`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function mergeUsers(
  deployment: Deployment,
  request: MergeRequest,
): Promise<{ userId: string; mergeRecordId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const references = parsePair(request);
  return write(deployment, { principal, mutation: 'mergeUsers', idempotencyKey, input }, async (tx) => {
    const [survivorId, mergedId] = await resolvePair(tx, references);
    // Tombstones change their target with the merged user: locked with it, in the one order.
    const users = await lockUsers(tx, [survivorId, mergedId, ...(await findTombstones(tx, mergedId))]);
    // What the references named before the locks may have gone to somebody else: by a logout, a merge, or an undo of one.
    const [survivorNow, mergedNow] = await resolvePair(tx, references);
    const survivor = users.get(survivorId);
    const merged = users.get(mergedId);
    if (!survivor || !merged || survivorNow !== survivorId || mergedNow !== mergedId) throw new StaleReadError();
    const mergesLatelyCount = await countMergesLately(tx, survivorId);
    const plan = decideMerge({ survivor, merged, mergesLatelyCount }, { ...request, rules: deployment.rules });
    const mergeRecordId = await joinUsers(tx, { survivor, merged, actor: principal, reason: 'mergeUsers', plan });
    return { userId: survivorId, mergeRecordId };
  });
}

/** @throws DomainError `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`. */
export function parsePair({ survivor, merged }: Pick<MergePair, 'survivor' | 'merged'>): UserReference[] {
  return [parseUserReference(survivor, ['survivor']), parseUserReference(merged, ['merged'])];
}

/** The ids of the survivor and of the merged user. @throws DomainError `NOT_FOUND`. */
export async function resolvePair(tx: Transaction, references: readonly UserReference[]): Promise<[string, string]> {
  const [survivorId, mergedId] = await resolveUserReferences(tx, references);
  if (!survivorId) throw new DomainError('NOT_FOUND', 'There is no such user.', ['survivor']);
  if (!mergedId) throw new DomainError('NOT_FOUND', 'There is no such user.', ['merged']);
  return [survivorId, mergedId];
}
