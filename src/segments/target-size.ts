import { z } from 'zod';
import { DomainError } from '../errors.ts';
import { idSchema } from '../ids.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { readFilter } from './filter.ts';
import { type AudienceParts, createAudienceCheck, type Filters, filtersOf, tooLarge } from './filter-size.ts';
import { readSegments, segmentsNamedBy } from './known-segments.ts';

type Reader = Pick<Transaction, '$queryRaw'>;

/** What a target has of segments and filters, as `notifications/target` stores it. */
const targetSchema = z.looseObject({
  segments: z.array(idSchema),
  excludeSegments: z.array(idSchema).default([]),
  filter: z.record(z.string(), z.unknown()).nullable().default(null),
});

/** Whom a stored target means by segments and a filter. */
function toAudienceParts(target: unknown): AudienceParts {
  const { segments, excludeSegments, filter } = targetSchema.parse(target);
  const inSegment = (id: string) => readFilter({ inSegment: id });
  return {
    included: [...segments.map(inSegment), ...(filter === null ? [] : [readFilter(filter)])],
    excluded: excludeSegments.map(inSegment),
  };
}

/**
 * Refuses a target that asks for more than a statement of its fan-out takes.
 *
 * @throws DomainError `LIMIT_EXCEEDED`.
 */
export async function refuseTooLargeTarget(tx: Reader, target: unknown, path: readonly string[]): Promise<void> {
  const parts = toAudienceParts(target);
  const named = [...parts.included, ...parts.excluded].flatMap(segmentsNamedBy);
  const isTooLarge = createAudienceCheck(filtersOf(await readSegments(tx, named)));
  if (isTooLarge(parts)) throw tooLarge(path);
}

/**
 * Refuses filters of segments under which a send that is on its way could not be fanned out any more: what its target names was
 * small enough when it was accepted.
 *
 * @throws DomainError `LIMIT_EXCEEDED`.
 */
export async function refuseOutgrownTargets(tx: Reader, filters: Filters): Promise<void> {
  const rows = await tx.$queryRaw<{ id: string; target: unknown }[]>(sql`
    select id, target from notifications
    where fan_out_finished_at is null and (
      jsonb_path_exists(target, '$.segments[0]') or jsonb_path_exists(target, '$.excludeSegments[0]')
      or jsonb_path_exists(target, '$.filter.**.inSegment')
    )
  `);
  const isTooLarge = createAudienceCheck(filters);
  const outgrown = rows.find(({ target }) => isTooLarge(toAudienceParts(target)));
  if (!outgrown) return;
  const message = `The notification ${outgrown.id} is on its way to a target that would be too large then.`;
  throw new DomainError('LIMIT_EXCEEDED', message, ['filter']);
}
