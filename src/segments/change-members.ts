import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { holdUsers } from '../identity/user-identity-store.ts';
import { parseUserReference, resolveUserReferences, type UserReferenceInput } from '../identity/user-reference.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';

/** Puts users into a static segment or takes them out. */
export interface MembershipChange {
  principal: string;
  segmentId: string;
  users: readonly UserReferenceInput[];
  idempotencyKey?: string | null | undefined;
}

/** How many memberships changed, and which references named nobody (their places in `users`). */
export interface MembershipChanged {
  segmentId: string;
  changedCount: number;
  unknown: number[];
}

/** @default 10_000 // users a call */
const usersMax = 10_000;

/**
 * Users who are members already are left alone; references that name nobody are reported.
 *
 * @throws DomainError `NOT_FOUND` (the segment), `STATE_CONFLICT` (a dynamic one), `LIMIT_EXCEEDED`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`,
 * `IDEMPOTENCY_KEY_REUSED`.
 */
export function addToSegment(deployment: Deployment, request: MembershipChange): Promise<MembershipChanged> {
  return changeMembers(deployment, request, 'addToSegment', (tx, users) =>
    tx.$executeRaw(sql`
      insert into segment_members (segment_id, user_id)
      select ${request.segmentId}::uuid, user_id from unnest(${users}::uuid[]) as given (user_id)
      order by user_id
      on conflict (segment_id, user_id) do nothing
    `),
  );
}

/** Users who are no members are left alone. Refuses as {@link addToSegment} does. */
export function removeFromSegment(deployment: Deployment, request: MembershipChange): Promise<MembershipChanged> {
  return changeMembers(deployment, request, 'removeFromSegment', (tx, users) =>
    tx.$executeRaw(sql`
      delete from segment_members where segment_id = ${request.segmentId}::uuid and user_id = any(${users}::uuid[])
    `),
  );
}

async function changeMembers(
  deployment: Deployment,
  request: MembershipChange,
  mutation: 'addToSegment' | 'removeFromSegment',
  change: (tx: Transaction, userIds: string[]) => Promise<number>,
): Promise<MembershipChanged> {
  const { principal, idempotencyKey, segmentId, users } = request;
  if (users.length > usersMax) throw new DomainError('LIMIT_EXCEEDED', `At most ${usersMax} users a call.`, ['users']);
  const references = users.map((user, index) => parseUserReference(user, ['users', String(index)]));
  return write(deployment, { principal, mutation, idempotencyKey, input: { segmentId, users } }, async (tx) => {
    // Held until the commit, so that the segment cannot be deleted meanwhile.
    const [segment] = await tx.$queryRaw<{ is_dynamic: boolean }[]>(
      sql`select filter is not null as is_dynamic from segments where id = ${segmentId}::uuid for key share`,
    );
    if (!segment) throw new DomainError('NOT_FOUND', 'There is no such segment.', ['segment']);
    if (segment.is_dynamic) {
      throw new DomainError('STATE_CONFLICT', 'The segment is dynamic: its filter says who is in it.', ['segment']);
    }
    const resolved = await resolveUserReferences(tx, references);
    const known = [...new Set(resolved.filter((id) => id !== null))];
    await holdUsers(tx, known);
    const changedCount = await change(tx, known);
    return { segmentId, changedCount, unknown: resolved.flatMap((id, index) => (id === null ? [index] : [])) };
  });
}
