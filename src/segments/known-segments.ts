import { type Sql, sql, type Transaction } from '../storage/database.ts';
import { type EventCondition, eventKeyOf } from './event-condition.ts';
import {
  explainFilter,
  type Filter,
  filterToInstallationSql,
  filterToSql,
  listConditions,
  readFilter,
} from './filter.ts';
import type { Person } from './person.ts';
import type { Decision, Scope } from './predicate.ts';

/** A segment as filters know it: null: a static one. */
export type KnownSegments = ReadonlyMap<string, { name: string; filter: Filter | null }>;

type Reader = Pick<Transaction, '$queryRaw'>;

/**
 * Reads segments, and those that their filters name, and so on: by one statement, hence as of one moment, at which there is no
 * circle. Of two moments there could be one.
 */
export async function readSegments(db: Reader, segmentIds: readonly string[]): Promise<KnownSegments> {
  if (segmentIds.length === 0) return new Map();
  const rows = await db.$queryRaw<{ id: string; name: string; filter: unknown }[]>(sql`
    with recursive named (id) as (
      select unnest(${[...segmentIds]}::uuid[])
      union
      select (inner_id #>> '{}')::uuid
      from named join segments s using (id), jsonb_path_query(s.filter, ${isNamed}::jsonpath) as inner_id
    )
    select id, name, filter from named join segments using (id)
  `);
  return new Map(
    rows.map(({ id, name, filter }) => [id, { name, filter: filter === null ? null : readFilter(filter) }] as const),
  );
}

/** Segments that a stored filter names. A property of an event may be called so, too, and be any text: none of a UUID's form fails. */
const isNamed = '$.**.inSegment ? (@ like_regex "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")';

/** The segments that a filter names itself. */
export function segmentsNamedBy(filter: Filter): string[] {
  return [...new Set(listConditions(filter).flatMap(({ condition }) => condition.segmentId ?? []))];
}

/** The events that filters ask of, each once. They ask what the segments ask that they name, too: give those with them. */
export function eventsAskedBy(filters: Iterable<Filter | null>): EventCondition[] {
  const asked = [...filters].flatMap((filter) =>
    filter === null ? [] : listConditions(filter).flatMap(({ condition }) => condition.event ?? []),
  );
  return [...new Map(asked.map((event) => [eventKeyOf(event), event])).values()];
}

/** What segments ask for, and those that they name. */
export const filtersOf = (segments: KnownSegments): (Filter | null)[] =>
  [...segments.values()].map(({ filter }) => filter);

/**
 * How filters know of segments. The one place that says, in SQL and in plain code, who is a member: of a static segment whoever
 * was put in, of a dynamic one whom its filter holds for.
 */
export function createScope(segments: KnownSegments): Scope {
  const scope: Scope = {
    toMemberSql(segmentId) {
      const segment = segments.get(segmentId);
      if (segment?.filter) return filterToSql(segment.filter, scope);
      return sql`exists (select from segment_members m where m.user_id = u.id and m.segment_id = ${segmentId}::uuid)`;
    },
    decideMember: (segmentId, person) => decideMember(segmentId, person, { segments, scope }),
    toInstallationSql(segmentId) {
      const filter = segments.get(segmentId)?.filter;
      return filter ? filterToInstallationSql(filter, scope) : null;
    },
  };
  return scope;
}

function decideMember(
  segmentId: string,
  person: Person,
  { segments, scope }: { segments: KnownSegments; scope: Scope },
): Decision {
  const segment = segments.get(segmentId);
  if (segment?.filter) {
    const { holds, reasons } = explainFilter(segment.filter, person, { scope });
    return { holds, value: segment.name, reasons };
  }
  const holds = person.segmentIds.includes(segmentId);
  return { holds, value: segment?.name ?? null };
}

/** What is needed to ask a filter. */
export interface ReadyFilter {
  filter: Filter;
  scope: Scope;
}

/** A filter with what it names. */
export async function prepareFilter(db: Reader, filter: Filter): Promise<ReadyFilter> {
  return { filter, scope: createScope(await readSegments(db, segmentsNamedBy(filter))) };
}

/** Whether `u`, a row of users that is no tombstone, is a member of a segment. */
export async function memberSql(db: Reader, segmentId: string): Promise<Sql> {
  return createScope(await readSegments(db, [segmentId])).toMemberSql(segmentId);
}
