import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { parseTopicDescription, parseTopicName } from './topic-text.ts';

/** Something that messages can be about. */
export interface NewTopic {
  principal: string;
  name: string;
  description?: string | null | undefined;
  /** Whether who has said nothing is subscribed. */
  isSubscribedByDefault: boolean;
  /** Where it stands among the topics. @default behind all others */
  position?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** There are so few that a client can show all. @default 100 */
export const topicsMax = 100;

/** @throws DomainError `VALUE_INVALID`, `NAME_TAKEN`, `LIMIT_EXCEEDED` (there are 100), `IDEMPOTENCY_KEY_REUSED`. */
export async function createTopic(deployment: Deployment, request: NewTopic): Promise<{ topicId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = parseTopicName(request.name);
  const description = parseTopicDescription(request.description ?? null);
  return write(deployment, { principal, mutation: 'createTopic', idempotencyKey, input }, async (tx) => {
    await lockTopicList(tx);
    const [counted] = await tx.$queryRaw<{ count: number; next: number }[]>(
      sql`select count(*)::int as count, least(coalesce(max(position)::bigint + 1, 0), 2147483647)::int as next from topics`,
    );
    if ((counted?.count ?? 0) >= topicsMax) {
      throw new DomainError('LIMIT_EXCEEDED', `There are at most ${topicsMax} topics.`, []);
    }
    const topicId = newId();
    const rows = await tx.$queryRaw<unknown[]>(sql`
      insert into topics (id, name, description, is_subscribed_by_default, position)
      values (
        ${topicId}::uuid, ${name}, ${description}, ${request.isSubscribedByDefault},
        ${request.position ?? counted?.next ?? 0}
      )
      on conflict (name) do nothing
      returning id
    `);
    if (rows.length === 0) throw new DomainError('NAME_TAKEN', 'Another topic has this name.', ['name']);
    return { topicId };
  });
}

/** One topic at a time is made, so that there are never more than may be. */
async function lockTopicList(tx: Transaction): Promise<void> {
  await tx.$executeRaw(sql`select pg_advisory_xact_lock(hashtextextended('carillon topics', 0))`);
}
