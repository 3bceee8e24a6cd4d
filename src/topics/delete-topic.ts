import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';

/** A topic that is to go, with what people have said of it. */
export interface TopicDeletion {
  principal: string;
  topicId: string;
  idempotencyKey?: string | null | undefined;
}

/** @throws DomainError `NOT_FOUND`, `STATE_CONFLICT` (it is in use), `IDEMPOTENCY_KEY_REUSED`. */
export async function deleteTopic(deployment: Deployment, request: TopicDeletion): Promise<{ topicId: string }> {
  const { principal, idempotencyKey, topicId } = request;
  return write(deployment, { principal, mutation: 'deleteTopic', idempotencyKey, input: { topicId } }, async (tx) => {
    // Who is about to use it holds it for key share: either its use is seen, or it finds no such topic.
    const [locked] = await tx.$queryRaw<unknown[]>(sql`select id from topics where id = ${topicId}::uuid for update`);
    if (!locked) throw new DomainError('NOT_FOUND', 'There is no such topic.', ['topic']);
    const use = await findUse(tx, topicId);
    if (use !== null) throw new DomainError('STATE_CONFLICT', `${use} uses this topic.`, ['topic']);
    await tx.$executeRaw(sql`delete from topics where id = ${topicId}::uuid`);
    return { topicId };
  });
}

/** What still uses a topic; null: nothing. A notification does until its last delivery was sent. */
async function findUse(tx: Transaction, topicId: string): Promise<string | null> {
  const variables = JSON.stringify({ id: topicId });
  const [row] = await tx.$queryRaw<{ use: string }[]>(sql`
    (
      select 'The segment ' || id as use from segments
      where jsonb_path_exists(filter, '$.**.topic ? (@ == $id)', ${variables}::jsonb)
    ) union all (
      select 'The notification ' || id from notifications
      where fan_out_finished_at is null and jsonb_path_exists(target, '$.**.topic ? (@ == $id)', ${variables}::jsonb)
    ) union all (
      select 'The notification ' || id from notifications n
      where topic_id = ${topicId}::uuid and (fan_out_finished_at is null or exists (
        select from notification_counts c
        where c.notification_id = n.id and c.status in ('QUEUED', 'SENDING') and c.current > 0
      ))
    ) limit 1
  `);
  return row?.use ?? null;
}
