import { lockFilters } from '../attributes/filter-lock.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { addAttributeIndexesJob } from './attribute-indexes.ts';
import { parseKnownFilter, refuseTangledFilter } from './segment-filter.ts';
import { parseSegmentDescription, parseSegmentName } from './segment-name.ts';
import { refuseOutgrownTargets } from './target-size.ts';

/** What is to change: what is absent stays. */
export interface SegmentUpdate {
  principal: string;
  segmentId: string;
  name?: string | null | undefined;
  /** Null removes it. */
  description?: string | null | undefined;
  /** As in `createSegment`. Of dynamic segments only. */
  filter?: unknown;
  idempotencyKey?: string | null | undefined;
}

/**
 * Changes a segment. Members of a dynamic one are from the commit on whom the new filter holds for.
 *
 * @throws DomainError `NOT_FOUND`, `NAME_TAKEN`, `VALUE_INVALID`, `STATE_CONFLICT` (a filter of a static segment),
 * `IDEMPOTENCY_KEY_REUSED`; of a filter also `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`.
 */
export async function updateSegment(deployment: Deployment, request: SegmentUpdate): Promise<{ segmentId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const { segmentId } = request;
  const name = typeof request.name === 'string' ? parseSegmentName(request.name) : null;
  const description = request.description === undefined ? undefined : parseSegmentDescription(request.description);
  return write(deployment, { principal, mutation: 'updateSegment', idempotencyKey, input }, async (tx) => {
    const hasFilter = request.filter !== null && request.filter !== undefined;
    if (hasFilter) await lockFilters(tx, 'alone');
    const { isDynamic } = await lockSegment(tx, segmentId);
    if (hasFilter && !isDynamic) {
      throw new DomainError('STATE_CONFLICT', 'A static segment has no filter.', ['filter']);
    }
    const stored = hasFilter ? await parseKnownFilter(tx, request.filter, ['filter']) : null;
    if (stored) await refuseOutgrownTargets(tx, await refuseTangledFilter(tx, { segmentId, stored }));
    if (name !== null) await refuseTakenName(tx, { segmentId, name });
    await tx.$executeRaw(sql`
      update segments set
        name = coalesce(${name}, name),
        description = case when ${description === undefined} then description else ${description ?? null} end,
        filter = coalesce(${stored === null ? null : JSON.stringify(stored)}::jsonb, filter)
      where id = ${segmentId}::uuid
    `);
    if (stored) await addAttributeIndexesJob(tx);
    return { segmentId };
  });
}

async function lockSegment(tx: Transaction, segmentId: string): Promise<{ isDynamic: boolean }> {
  const [segment] = await tx.$queryRaw<{ is_dynamic: boolean }[]>(sql`
    select filter is not null as is_dynamic from segments where id = ${segmentId}::uuid for no key update
  `);
  if (!segment) throw new DomainError('NOT_FOUND', 'There is no such segment.', ['segment']);
  return { isDynamic: segment.is_dynamic };
}

/** Of two that take a name at once, the second meets the unique index, and is repeated. */
async function refuseTakenName(
  tx: Transaction,
  { segmentId, name }: { segmentId: string; name: string },
): Promise<void> {
  const others = await tx.$queryRaw<unknown[]>(
    sql`select id from segments where name = ${name} and id <> ${segmentId}::uuid`,
  );
  if (others.length > 0) throw new DomainError('NAME_TAKEN', 'Another segment has this name.', ['name']);
}
