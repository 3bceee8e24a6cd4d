import { type AttributeDefinition, listAttributeDefinitions } from '../attributes/attribute-definition.ts';
import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { holdTopics } from '../topics/preference-store.ts';
import { type Filter, listConditions, parseFilter, readFilter, type StoredFilter } from './filter.ts';
import { createMeasure, type Filters, filtersOf, isTooLarge, tooLarge } from './filter-size.ts';
import { readSegments, segmentsNamedBy } from './known-segments.ts';
import type { Place } from './predicate.ts';

type Reader = Pick<Transaction, '$queryRaw'>;

/**
 * A caller's filter in normal form. The segments and topics that it names exist, and are not deleted before the commit of `tx`.
 *
 * @throws DomainError as `parseFilter` does; `NOT_FOUND` for a segment or a topic.
 */
export async function parseKnownFilter(tx: Reader, input: unknown, path: readonly string[]): Promise<StoredFilter> {
  const stored = parseFilter(input, { path, definitions: await listAllDefinitions(tx) });
  const filter = readFilter(stored);
  const named = segmentsNamedBy(filter);
  await holdTopicsOf(tx, filter, path);
  if (named.length > 0) await holdSegments(tx, { filter, named, path });
  const { ofFilter } = createMeasure(filtersOf(await readSegments(tx, named)));
  if (isTooLarge(ofFilter(filter))) throw tooLarge(path);
  return stored;
}

/** The custom attributes that a filter may name. */
export async function listAllDefinitions(tx: Reader): Promise<Place['definitions']> {
  const toMap = (definitions: AttributeDefinition[]) => new Map(definitions.map((each) => [each.name, each]));
  return {
    USER: toMap(await listAttributeDefinitions(tx, 'USER')),
    INSTALLATION: toMap(await listAttributeDefinitions(tx, 'INSTALLATION')),
  };
}

async function holdSegments(
  tx: Reader,
  { filter, named, path }: { filter: Filter; named: readonly string[]; path: readonly string[] },
): Promise<void> {
  const rows = await tx.$queryRaw<{ id: string }[]>(sql`
    select id from segments where id = any(${[...named]}::uuid[]) order by id for key share
  `);
  const missing = named.find((id) => !rows.some((row) => row.id === id));
  if (missing === undefined) return;
  throw new DomainError('NOT_FOUND', 'There is no such segment.', [...path, ...pathOfSegment(filter, missing)]);
}

async function holdTopicsOf(tx: Reader, filter: Filter, path: readonly string[]): Promise<void> {
  const naming = listConditions(filter).flatMap(({ condition: { topicId }, path: at }) =>
    topicId === null ? [] : [{ topicId, at }],
  );
  if (naming.length === 0) return;
  const held = await holdTopics(
    tx,
    naming.map(({ topicId }) => topicId),
  );
  const missing = naming.find(({ topicId }) => !held.has(topicId));
  if (missing) throw new DomainError('NOT_FOUND', 'There is no such topic.', [...path, ...missing.at]);
}

/** Where a filter names a segment first. */
function pathOfSegment(filter: Filter, segmentId: string): readonly string[] {
  return listConditions(filter).find(({ condition }) => condition.segmentId === segmentId)?.path ?? [];
}

/** @default 1_000 // dynamic segments */
const dynamicSegmentsMax = 1_000;

/**
 * Refuses a segment's new filter that would make a circle, or too large a filter of any segment. To be called after
 * `lockFilters`.
 *
 * @throws DomainError `VALUE_INVALID` where the filter leads back to its own segment; `LIMIT_EXCEEDED`.
 */
export async function refuseTangledFilter(
  tx: Reader,
  { segmentId, stored }: { segmentId: string; stored: StoredFilter },
): Promise<Filters> {
  const rows = await tx.$queryRaw<{ id: string; filter: unknown }[]>(sql`
    select id, filter from segments where filter is not null and id <> ${segmentId}::uuid
  `);
  if (rows.length >= dynamicSegmentsMax) {
    throw new DomainError('LIMIT_EXCEEDED', `There are at most ${dynamicSegmentsMax} dynamic segments.`, ['filter']);
  }
  const own = readFilter(stored);
  const filters = new Map([...rows.map(({ id, filter }) => [id, readFilter(filter)] as const), [segmentId, own]]);
  const circular = listConditions(own).find(
    ({ condition }) => condition.segmentId !== null && leadsTo(condition.segmentId, segmentId, filters),
  );
  if (circular) {
    throw new DomainError('VALUE_INVALID', 'This leads back to the segment itself.', ['filter', ...circular.path]);
  }
  const { ofSegment } = createMeasure(filters);
  if ([...filters.keys()].some((id) => isTooLarge(ofSegment(id)))) throw tooLarge(['filter']);
  return filters;
}

/** Whether a segment is another, or its filter names it, also through others. */
function leadsTo(from: string, to: string, filters: ReadonlyMap<string, Filter>): boolean {
  const seen = new Set<string>();
  let wave = [from];
  while (wave.length > 0 && !wave.includes(to)) {
    for (const id of wave) seen.add(id);
    const next = wave.flatMap((id) => {
      const filter = filters.get(id);
      return filter ? segmentsNamedBy(filter) : [];
    });
    wave = [...new Set(next)].filter((id) => !seen.has(id));
  }
  return wave.includes(to);
}
