import { lockFilters } from '../attributes/filter-lock.ts';
import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { addAttributeIndexesJob } from './attribute-indexes.ts';
import { parseKnownFilter, refuseTangledFilter } from './segment-filter.ts';
import { parseSegmentDescription, parseSegmentName } from './segment-name.ts';

/** A new segment: dynamic with a filter, else static and empty. */
export interface NewSegment {
  principal: string;
  name: string;
  description?: string | null | undefined;
  /** As the schema lets it in (`AudienceFilter`), with local ids. */
  filter?: unknown;
  idempotencyKey?: string | null | undefined;
}

/**
 * @throws DomainError `VALUE_INVALID`, `NAME_TAKEN`, `IDEMPOTENCY_KEY_REUSED`; of a filter also `ATTRIBUTE_INVALID`,
 * `LIMIT_EXCEEDED`, `NOT_FOUND` (a segment that it names).
 */
export async function createSegment(deployment: Deployment, request: NewSegment): Promise<{ segmentId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = parseSegmentName(request.name);
  const description = parseSegmentDescription(request.description ?? null);
  return write(deployment, { principal, mutation: 'createSegment', idempotencyKey, input }, async (tx) => {
    const segmentId = newId();
    const isDynamic = request.filter !== null && request.filter !== undefined;
    if (isDynamic) await lockFilters(tx, 'alone');
    const stored = isDynamic ? await parseKnownFilter(tx, request.filter, ['filter']) : null;
    if (stored) await refuseTangledFilter(tx, { segmentId, stored });
    const rows = await tx.$queryRaw<{ id: string }[]>(sql`
      insert into segments (id, name, description, filter)
      values (${segmentId}::uuid, ${name}, ${description}, ${stored === null ? null : JSON.stringify(stored)}::jsonb)
      on conflict (name) do nothing
      returning id
    `);
    if (rows.length === 0) throw new DomainError('NAME_TAKEN', 'Another segment has this name.', ['name']);
    if (isDynamic) await addAttributeIndexesJob(tx);
    return { segmentId };
  });
}
