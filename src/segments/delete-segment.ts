import { lockFilters } from '../attributes/filter-lock.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { addAttributeIndexesJob } from './attribute-indexes.ts';

/** A segment that is to go, with its memberships. Its members stay. */
export interface SegmentDeletion {
  principal: string;
  segmentId: string;
  idempotencyKey?: string | null | undefined;
}

/** @throws DomainError `NOT_FOUND`, `SEGMENT_IN_USE`, `IDEMPOTENCY_KEY_REUSED`. */
export async function deleteSegment(deployment: Deployment, request: SegmentDeletion): Promise<{ segmentId: string }> {
  const { principal, idempotencyKey, segmentId } = request;
  return write(
    deployment,
    { principal, mutation: 'deleteSegment', idempotencyKey, input: { segmentId } },
    async (tx) => {
      await lockFilters(tx, 'alone');
      // Who is about to use it holds it for key share: either its use is seen, or it finds no such segment.
      const [locked] = await tx.$queryRaw<unknown[]>(sql`
      select id from segments where id = ${segmentId}::uuid for update
    `);
      if (!locked) throw new DomainError('NOT_FOUND', 'There is no such segment.', ['segment']);
      const use = await findUse(tx, segmentId);
      if (use !== null) throw new DomainError('SEGMENT_IN_USE', `${use} uses this segment.`, ['segment']);
      await tx.$executeRaw(sql`delete from segments where id = ${segmentId}::uuid`);
      await addAttributeIndexesJob(tx);
      return { segmentId };
    },
  );
}

/** What still uses a segment; null: nothing. */
async function findUse(tx: Transaction, segmentId: string): Promise<string | null> {
  const variables = JSON.stringify({ id: segmentId });
  const [row] = await tx.$queryRaw<{ use: string }[]>(sql`
    (
      select 'The segment ' || id as use from segments
      where jsonb_path_exists(filter, '$.**.inSegment ? (@ == $id)', ${variables}::jsonb)
    ) union all (
      select 'An operation of ' || coalesce('the partner ' || partner, 'an app') from registered_operations
      where scope_segment_id = ${segmentId}::uuid
    ) union all (
      select 'The notification ' || id from notifications
      where fan_out_finished_at is null and (
        jsonb_path_exists(target, '$.segments[*] ? (@ == $id)', ${variables}::jsonb)
        or jsonb_path_exists(target, '$.excludeSegments[*] ? (@ == $id)', ${variables}::jsonb)
        or jsonb_path_exists(target, '$.**.inSegment ? (@ == $id)', ${variables}::jsonb)
      )
    ) union all (
      select 'The label ' || name from labels
      where jsonb_path_exists(cases, '$.**.inSegment ? (@ == $id)', ${variables}::jsonb)
    ) union all (
      select 'The template ' || name from templates
      where jsonb_path_exists(content, '$.variations[*].segment ? (@ == $id)', ${variables}::jsonb)
    ) union all (
      -- What is said is decided at each send: also after the fan-out.
      select 'The notification ' || id from notifications n
      where (
        fan_out_finished_at is null or exists (
          select from notification_counts c
          where c.notification_id = n.id and c.status in ('QUEUED', 'SENDING') and c.current > 0
        )
      ) and (
        jsonb_path_exists(content, '$.variations[*].segment ? (@ == $id)', ${variables}::jsonb)
        or jsonb_path_exists(content, '$.labels[*].cases.**.inSegment ? (@ == $id)', ${variables}::jsonb)
      )
    ) limit 1
  `);
  return row?.use ?? null;
}
