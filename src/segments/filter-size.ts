import { DomainError } from '../errors.ts';
import { type Filter, filterToInstallationSql, filterToSql, listConditions } from './filter.ts';
import { createScope, type KnownSegments } from './known-segments.ts';

/** Conditions, groups and values, with those of all segments that are named: a statement takes 65,535 values. @default 20_000 */
const sizeMax = 20_000;
/** Dynamic segments of which each names the next. @default 16 */
const levelsMax = 16;

/** A filter, or a segment, with the filters of the segments that it names, and so on. */
interface Size {
  count: number;
  levels: number;
}

/** Filters of dynamic segments, by id. */
export type Filters = ReadonlyMap<string, Filter>;

/** The filters of those of some segments that have one. */
export function filtersOf(segments: KnownSegments): Filters {
  return new Map([...segments].flatMap(([id, { filter }]) => (filter ? [[id, filter] as const] : [])));
}

const nothingKnown = createScope(new Map());

/** How large filters and segments are. There are no circles in `filters`; what is known of a segment is kept. */
export function createMeasure(filters: Filters) {
  const known = new Map<string, Size>();
  function ofSegment(id: string): Size {
    const [filter, before] = [filters.get(id), known.get(id)];
    if (before || !filter) return before ?? { count: 0, levels: 0 };
    const { count, levels } = ofFilter(filter);
    known.set(id, { count, levels: levels + 1 });
    return { count, levels: levels + 1 };
  }
  function ofFilter(filter: Filter): Size {
    const named = listConditions(filter).flatMap(({ condition }) => condition.segmentId ?? []);
    const own = { count: countNodes(filter) + filterToSql(filter, nothingKnown).values.length, levels: 0 };
    return named.map(ofSegment).reduce(together, own);
  }
  return { ofFilter, ofSegment };
}

const together = (a: Size, b: Size): Size => ({ count: a.count + b.count, levels: Math.max(a.levels, b.levels) });

function countNodes(filter: Filter): number {
  if (filter.kind === 'predicate') return 1;
  if (filter.kind === 'not') return 1 + countNodes(filter.part);
  return filter.parts.reduce((sum, part) => sum + countNodes(part), 1);
}

/** Whether a filter of this size is not to be. */
export const isTooLarge = ({ count, levels }: Size): boolean => count > sizeMax || levels > levelsMax;

/** What is said of a filter that is too large. */
export const tooLarge = (path: readonly string[]): DomainError =>
  new DomainError(
    'LIMIT_EXCEEDED',
    `With what the segments in it ask for, it would be too large: at most ${sizeMax.toLocaleString('en')} conditions, groups and values, and ${levelsMax} segments of which each names the next.`,
    path,
  );

/** Whom a target means beside those whom it names one by one: everybody under any of `included`, without those under `excluded`. */
export interface AudienceParts {
  included: readonly Filter[];
  excluded: readonly Filter[];
}

/** Says of targets whether they ask for more than a statement of their fan-out takes. */
export function createAudienceCheck(filters: Filters): (parts: AudienceParts) => boolean {
  const { ofFilter } = createMeasure(filters);
  const scope = createScope(new Map([...filters].map(([id, filter]) => [id, { name: '', filter }])));
  return ({ included, excluded }) => {
    const size = [...included, ...excluded].map(ofFilter).reduce(together, { count: 0, levels: 0 });
    if (isTooLarge(size) || included.length === 0) return isTooLarge(size);
    // Which of a user's installations are meant is asked beside who is, and says some of it again.
    const fits = filterToInstallationSql({ kind: 'any', parts: included }, scope);
    return fits !== null && fits.values.length > sizeMax;
  };
}
