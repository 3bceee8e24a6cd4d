import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { parseTopicDescription, parseTopicName } from './topic-text.ts';

/** What is to change: what is absent stays. */
export interface TopicUpdate {
  principal: string;
  topicId: string;
  name?: string | null | undefined;
  /** Null removes it. */
  description?: string | null | undefined;
  isSubscribedByDefault?: boolean | null | undefined;
  position?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/**
 * Changes a topic. Another default counts from the commit on for everybody who has said nothing.
 *
 * @throws DomainError `NOT_FOUND`, `NAME_TAKEN`, `VALUE_INVALID`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function updateTopic(deployment: Deployment, request: TopicUpdate): Promise<{ topicId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const { topicId } = request;
  const name = typeof request.name === 'string' ? parseTopicName(request.name) : null;
  const description = request.description === undefined ? undefined : parseTopicDescription(request.description);
  return write(deployment, { principal, mutation: 'updateTopic', idempotencyKey, input }, async (tx) => {
    // Of two that take a name at once, the second meets the unique index, and is repeated.
    const others = await tx.$queryRaw<unknown[]>(
      sql`select id from topics where name = ${name} and id <> ${topicId}::uuid`,
    );
    if (others.length > 0) throw new DomainError('NAME_TAKEN', 'Another topic has this name.', ['name']);
    const count = await tx.$executeRaw(sql`
      update topics set
        name = coalesce(${name}, name),
        description = case when ${description === undefined} then description else ${description ?? null} end,
        is_subscribed_by_default = coalesce(${request.isSubscribedByDefault ?? null}::boolean, is_subscribed_by_default),
        position = coalesce(${request.position ?? null}::int, position)
      where id = ${topicId}::uuid
    `);
    if (count === 0) throw new DomainError('NOT_FOUND', 'There is no such topic.', ['topic']);
    return { topicId };
  });
}
