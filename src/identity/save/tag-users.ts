import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import { StaleReadError } from '../../storage/transaction.ts';
import { write } from '../../storage/write.ts';
import { parseTags, tagsMax } from '../../users/user-attributes.ts';
import { parseUserReference, resolveUserReferences, type UserReferenceInput } from '../user-reference.ts';

/** Gives tags to users, or takes them away. */
export interface TagChange {
  principal: string;
  users: readonly UserReferenceInput[];
  tags: readonly string[];
  idempotencyKey?: string | null | undefined;
}

/** How many users changed, and which references named nobody (their places in `users`). */
export interface TagsChanged {
  changedCount: number;
  unknown: number[];
}

/** @default 1_000 // users a call */
export const taggedUsersMax = 1_000;

/**
 * Adds tags to each of the users (rule U16). One that is there already is left alone; references that name nobody are
 * reported.
 *
 * @throws DomainError `ATTRIBUTE_INVALID` (a tag), `LIMIT_EXCEEDED`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`,
 * `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export function tagUsers(deployment: Deployment, request: TagChange): Promise<TagsChanged> {
  return changeTags(deployment, request, 'tagUsers');
}

/** Removes tags from each of the users. What is not there is left alone. Refuses as {@link tagUsers} does. */
export function untagUsers(deployment: Deployment, request: TagChange): Promise<TagsChanged> {
  return changeTags(deployment, request, 'untagUsers');
}

async function changeTags(
  deployment: Deployment,
  { principal, users, tags, idempotencyKey }: TagChange,
  mutation: 'tagUsers' | 'untagUsers',
): Promise<TagsChanged> {
  if (users.length > taggedUsersMax) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${taggedUsersMax} users a call.`, ['users']);
  }
  const references = users.map((user, index) => parseUserReference(user, ['users', String(index)]));
  const given = parseTags(tags, ['tags']);
  return write(deployment, { principal, mutation, idempotencyKey, input: { users, tags } }, async (tx) => {
    const resolved = await resolveUserReferences(tx, references);
    const known = resolved.filter((id) => id !== null);
    const changedCount = mutation === 'tagUsers' ? await addTags(tx, known, given) : await removeTags(tx, known, given);
    return { changedCount, unknown: resolved.flatMap((id, index) => (id === null ? [index] : [])) };
  });
}

/** @throws StaleReadError when one of the users was merged meanwhile, so that its survivor is found. */
async function lockLiving(tx: Transaction, userIds: readonly string[]): Promise<void> {
  const rows = await tx.$queryRaw<{ merged_into_id: string | null }[]>(sql`
    select merged_into_id from users where id = any(${[...userIds]}::uuid[]) order by id for no key update
  `);
  if (rows.some((row) => row.merged_into_id !== null)) throw new StaleReadError();
}

async function addTags(tx: Transaction, userIds: readonly string[], tags: readonly string[]): Promise<number> {
  await lockLiving(tx, userIds);
  const rows = await tx.$queryRaw<{ tag_count: number }[]>(sql`
    update users set tags = array(select tag from unnest(tags || ${[...tags]}::text[]) tag group by tag order by tag collate "C")
    where id = any(${[...userIds]}::uuid[]) and not tags @> ${[...tags]}::text[]
    returning cardinality(tags) as tag_count
  `);
  if (rows.some((row) => row.tag_count > tagsMax)) {
    throw new DomainError('LIMIT_EXCEEDED', `A user has at most ${tagsMax} tags.`, ['tags']);
  }
  return rows.length;
}

async function removeTags(tx: Transaction, userIds: readonly string[], tags: readonly string[]): Promise<number> {
  await lockLiving(tx, userIds);
  return tx.$executeRaw(sql`
    update users set tags = array(select tag from unnest(tags) tag where tag <> all (${[...tags]}::text[]) order by tag collate "C")
    where id = any(${[...userIds]}::uuid[]) and tags && ${[...tags]}::text[]
  `);
}
