import type { Deployment, IdentityRules } from '../deployment.ts';
import { DomainError, type ErrorCode } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import type { SavedUser } from './decide-save.ts';
import { cancelPersonTargetedDeliveries } from './installation-owner.ts';
import { type ParsedSave, parseSave, type UserSave } from './parse-save.ts';
import { saveBatch } from './save-batch.ts';
import { resolveUserReferences, type UserReference } from './user-reference.ts';

/** Writes one user. */
export interface SaveRequest extends UserSave {
  principal: string;
  /** The installation that calls, if one does: only its own user is there for it, at the time of the write too. */
  installationId?: string | null;
  idempotencyKey?: string | null | undefined;
}

/**
 * Writes what is given to one user, and never merges (rule U9): an identifier of another user is refused.
 *
 * @throws DomainError `NOT_FOUND`, `USER_MERGE_INTERRUPTED`, `IDENTIFIER_IMMUTABLE`, `IDENTIFIER_BLOCKED`,
 * `IDENTIFIER_LIMIT_EXCEEDED`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`,
 * `STATE_CONFLICT`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function saveUser(deployment: Deployment, request: SaveRequest): Promise<SavedUser> {
  const { principal, installationId = null, idempotencyKey, ...save } = request;
  const parsed = parseSave(save, deployment, []);
  // Clients define nothing.
  const rules: IdentityRules =
    installationId === null ? deployment.rules : { ...deployment.rules, undeclaredAttributes: 'REFUSE' };
  return write(deployment, { principal, mutation: 'saveUser', idempotencyKey, input: save }, async (tx) => {
    if (installationId !== null) await refuseOthersUser(tx, installationId, parsed.reference);
    const { results, takenInstallationIds } = await saveBatch(tx, { ...deployment, rules }, [parsed]);
    const [result] = results;
    if (!result || result instanceof DomainError) throw result ?? new Error('A save has no result.');
    if (installationId !== null) await refuseFormerUser(tx, installationId, result.userId);
    await cancelPersonTargetedDeliveries(tx, takenInstallationIds);
    return result;
  });
}

/** To an installation everybody else is nobody, whatever the save says: another refusal would tell that there is such a user. */
async function refuseOthersUser(tx: Transaction, installationId: string, reference: UserReference): Promise<void> {
  const own: UserReference = { by: 'pushRegistrationId', id: installationId };
  const [meantId, ownId] = await resolveUserReferences(tx, [reference, own]);
  if (!meantId || meantId !== ownId) throw noSuchUser();
}

/** An installation that has left its user meanwhile writes nothing to either. */
async function refuseFormerUser(tx: Transaction, installationId: string, userId: string): Promise<void> {
  const rows = await tx.$queryRaw<unknown[]>(sql`
    select id from installations where id = ${installationId}::uuid and user_id = ${userId}::uuid for share
  `);
  if (rows.length === 0) throw noSuchUser();
}

function noSuchUser(): DomainError {
  return new DomainError('NOT_FOUND', 'There is no such user.', ['user']);
}

/** Writes many users. */
export interface BulkSaveRequest {
  principal: string;
  users: readonly UserSave[];
  idempotencyKey?: string | null | undefined;
}

/** Why one save of many was refused, in a form that can be kept for a repeat. */
export interface RefusedSave {
  code: ErrorCode;
  message: string;
  path: readonly string[] | null;
}

/** @default 1_000 // users a call */
export const savedUsersMax = 1_000;

/**
 * Writes many users, each as `saveUser` would and in this order, in one transaction. What is refused is told in its place,
 * and the others are written.
 *
 * @throws DomainError `LIMIT_EXCEEDED`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function saveUsers(
  deployment: Deployment,
  { principal, users, idempotencyKey }: BulkSaveRequest,
): Promise<(SavedUser | RefusedSave)[]> {
  if (users.length > savedUsersMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${savedUsersMax} users a call.`, ['users']);
  }
  const parsed = users.map((save, index) => parseOrRefuse(deployment, save, ['users', String(index)]));
  return write(deployment, { principal, mutation: 'saveUsers', idempotencyKey, input: { users } }, async (tx) => {
    const saves = parsed.flatMap((save) => (save instanceof DomainError ? [] : [save]));
    const { results, takenInstallationIds } = await saveBatch(tx, deployment, saves);
    await cancelPersonTargetedDeliveries(tx, takenInstallationIds);
    return parsed.map((save) => {
      const result = save instanceof DomainError ? save : results[saves.indexOf(save)];
      if (!result) throw new Error('A save has no result.');
      return result instanceof DomainError ? toRefusal(result) : result;
    });
  });
}

function parseOrRefuse(deployment: Deployment, save: UserSave, path: readonly string[]): ParsedSave | DomainError {
  try {
    return parseSave(save, deployment, path);
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

function toRefusal({ code, message, inputPath }: DomainError): RefusedSave {
  return { code, message, path: inputPath };
}
