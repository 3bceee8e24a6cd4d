import { type FieldNode, GraphQLError, type GraphQLResolveInfo, type SelectionNode } from 'graphql';
import { isUuid } from '../ids.ts';
import { pageSizeDefault, pageSizeMax } from '../operations/price.ts';
import { camelCaseKeys, type Database, type Sql, sql } from '../storage/database.ts';
import type { Loader, Loaders } from './loaders.ts';

/** Arguments of a connection as they come. */
export interface PageArguments {
  first?: number | null | undefined;
  last?: number | null | undefined;
  after?: string | null | undefined;
  before?: string | null | undefined;
}

/** One page of a list that is ordered by id: `limit` rows after or before an id, from the front or from the back. */
export interface Page {
  limit: number;
  isBackward: boolean;
  after: string | null;
  before: string | null;
}

/** @throws GraphQLError `BAD_USER_INPUT`: a size outside 1–100, both directions at once, a cursor that is none. */
export function parsePage({ first, last, after, before }: PageArguments): Page {
  const limit = first ?? last ?? pageSizeDefault;
  if (typeof first === 'number' && typeof last === 'number') throw badPage('Give `first` or `last`, not both.');
  if (!Number.isInteger(limit) || limit < 1 || limit > pageSizeMax)
    throw badPage(`A page has 1 to ${pageSizeMax} entries.`);
  return { limit, isBackward: typeof last === 'number', after: parseKey(after), before: parseKey(before) };
}

function badPage(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

function parseKey(cursor: string | null | undefined): string | null {
  if (cursor === null || cursor === undefined) return null;
  const id = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!isUuid(id)) throw badPage('This is not a cursor of a connection.');
  return id;
}

/** A page's rows with what a connection tells beside them. */
export interface LoadedPage<Row> {
  rows: Row[];
  /** Whether the list goes on beyond the page, in the page's direction. */
  hasMore: boolean;
  /** Null when it was not asked for. */
  totalCount: number | null;
}

/** As Pothos wants a connection. */
export function toConnection<Row extends { id: string }>(page: Page, { rows, hasMore, totalCount }: LoadedPage<Row>) {
  const edges = rows.map((node) => ({ cursor: Buffer.from(node.id).toString('base64url'), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage: !page.isBackward && hasMore,
      hasPreviousPage: page.isBackward && hasMore,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount: async () => {
      if (totalCount === null) throw new Error('The count was selected but not loaded.');
      return totalCount;
    },
  };
}

/** Which page of which parent's list, and whether its length is wanted too. */
export interface RelatedPageKey {
  parentId: string;
  page: Page;
  withCount: boolean;
}

/** One page of the list that belongs to one object, as Pothos wants a connection. */
export async function relatedConnection<Row extends { id: string }>(
  loader: Loader<RelatedPageKey, LoadedPage<Row>>,
  parentId: string,
  { args, loaders, info }: { args: PageArguments; loaders: Loaders; info: GraphQLResolveInfo },
) {
  const page = parsePage(args);
  const key = { parentId, page, withCount: selects(info, 'totalCount') };
  return toConnection(page, await loaders.load(loader, key));
}

/** The same list from its end: `first` and `after` go from the newest entry towards the oldest. */
export async function newestFirstConnection<Row extends { id: string }>(
  loader: Loader<RelatedPageKey, LoadedPage<Row>>,
  parentId: string,
  { args, loaders, info }: { args: PageArguments; loaders: Loaders; info: GraphQLResolveInfo },
) {
  const { first, last, after, before } = args;
  const reversed = { first: last, last: last ? first : (first ?? pageSizeDefault), after: before, before: after };
  const { edges, pageInfo, totalCount } = await relatedConnection(loader, parentId, { args: reversed, loaders, info });
  return {
    edges: edges.reverse(),
    pageInfo: {
      hasNextPage: pageInfo.hasPreviousPage,
      hasPreviousPage: pageInfo.hasNextPage,
      startCursor: pageInfo.endCursor,
      endCursor: pageInfo.startCursor,
    },
    totalCount,
  };
}

/**
 * Where the rows of a list are: `from` is one or more tables, `row` the columns, `id` the key. `belongs` says which rows
 * are `parent.id`'s.
 */
export interface RelatedRows<Row> {
  from: Sql;
  row: Sql;
  id: Sql;
  belongs: Sql;
  /** Rows of the same form that may belong to anybody: `decide` says which of them do, by parent and in the order of ids. */
  shared?: {
    from: Sql;
    decide(
      db: Database,
      rows: readonly Row[],
      parentIds: readonly string[],
    ): Promise<ReadonlyMap<string, readonly Row[]>>;
  };
}

/**
 * Loads one page for each of many parents in one statement, whatever the page size and however many the parents. The
 * length comes with it where it is selected. Pages of different arguments (aliases) are a statement each.
 */
export function relatedPages<Row extends { id: string }>(
  rows: RelatedRows<Row>,
): Loader<RelatedPageKey, LoadedPage<Row>> {
  const identity = ({ parentId, page, withCount }: RelatedPageKey) => JSON.stringify([parentId, page, withCount]);
  return {
    identity,
    async load(db, keys) {
      const groups = Map.groupBy(keys, ({ page, withCount }) => JSON.stringify([page, withCount]));
      const loaded = new Map<string, LoadedPage<Row>>();
      await Promise.all(
        [...groups.values()].map(async (group) => {
          const pages = await loadGroup<Row>(db, rows, group);
          group.forEach((key, index) => {
            const page = pages[index];
            if (page) loaded.set(identity(key), page);
          });
        }),
      );
      return keys.map((key) => loaded.get(identity(key)) ?? { rows: [], hasMore: false, totalCount: 0 });
    },
  };
}

async function loadGroup<Row extends { id: string }>(
  db: Database,
  { from, row, id, belongs, shared }: RelatedRows<Row>,
  group: readonly RelatedPageKey[],
): Promise<LoadedPage<Row>[]> {
  const [first] = group;
  if (!first) return [];
  const { page, withCount } = first;
  const found = await db.$queryRaw<Record<string, unknown>[]>(sql`
    select parent.place::int as "parent place", ${withCount ? sql`total.count::int` : sql`null::int`} as "total count", page.*
    from unnest(${group.map((key) => key.parentId)}::uuid[]) with ordinality as parent (id, place)
    ${withCount ? sql`cross join lateral (select count(*) from ${from} where ${belongs}) total` : sql``}
    left join lateral (
      select ${row} from ${from}
      where ${belongs} ${within(page, id)}
      order by ${id} ${page.isBackward ? sql`desc` : sql`asc`}
      limit ${page.limit + 1}
    ) page on true
    ${shared ? sql`union all select 0, null, ${row} from ${shared.from}` : sql``}
    order by "parent place", id ${page.isBackward ? sql`desc` : sql`asc`}
  `);
  const byParent = Map.groupBy(found, (foundRow) => foundRow['parent place']);
  const rowsOf = (place: number) =>
    (byParent.get(place) ?? [])
      .filter((foundRow) => foundRow.id !== null)
      .map((foundRow) => camelCaseKeys<Row>(foundRow));
  const anybodys = rowsOf(0);
  const parentIds = [...new Set(group.map(({ parentId }) => parentId))];
  const more = anybodys.length > 0 ? await shared?.decide(db, anybodys, parentIds) : undefined;
  return group.map(({ parentId }, index) => {
    const totalCount = withCount ? Number(byParent.get(index + 1)?.[0]?.['total count'] ?? 0) : null;
    return withMore({ ...cut(page, rowsOf(index + 1)), totalCount }, more?.get(parentId) ?? [], page);
  });
}

/** The part of a `where` that keeps a list within a page's cursors. */
function within(page: Page, id: Sql): Sql {
  return sql`
    and (${page.after}::uuid is null or ${id} > ${page.after}::uuid)
    and (${page.before}::uuid is null or ${id} < ${page.before}::uuid)
  `;
}

/**
 * Loads one page of a list that has no parent, with its length where it is selected, in one statement. `from` may hold
 * joins; `where` holds what else must be true.
 */
export async function loadPage<Row extends { id: string }>(
  db: Database,
  { from, row, id, where }: { from: Sql; row: Sql; id: Sql; where: Sql },
  { page, withCount }: { page: Page; withCount: boolean },
): Promise<LoadedPage<Row>> {
  const direction = page.isBackward ? sql`desc` : sql`asc`;
  const found = await db.$queryRaw<Record<string, unknown>[]>(sql`
    select total.count as "total count", page.*
    from (select ${withCount ? sql`count(*)::int as count from ${from} where ${where}` : sql`null::int as count`}) total
    left join lateral (
      select ${row} from ${from}
      where ${where} ${within(page, id)}
      order by ${id} ${direction}
      limit ${page.limit + 1}
    ) page on true
    order by page.id ${direction}
  `);
  const parsed = found.filter((foundRow) => foundRow.id !== null).map((foundRow) => camelCaseKeys<Row>(foundRow));
  return { ...cut(page, parsed), totalCount: withCount ? Number(found[0]?.['total count'] ?? 0) : null };
}

/** A page with rows that belong to the same list but were found elsewhere: all there are of them. */
function withMore<Row extends { id: string }>(
  { rows, hasMore, totalCount }: LoadedPage<Row>,
  more: readonly Row[],
  page: Page,
): LoadedPage<Row> {
  if (more.length === 0) return { rows, hasMore, totalCount };
  const within = more.filter(
    ({ id }) => (page.after === null || id > page.after) && (page.before === null || id < page.before),
  );
  const joined = [...rows, ...within].sort((a, b) => (a.id < b.id ? -1 : 1));
  const kept = page.isBackward ? joined.slice(-page.limit) : joined.slice(0, page.limit);
  return {
    rows: kept,
    hasMore: hasMore || joined.length > kept.length,
    totalCount: totalCount === null ? null : totalCount + more.length,
  };
}

/** One row more than the page was read, to know whether there is more; rows come back in list order. */
function cut<Row>(page: Page, rows: Row[]): { rows: Row[]; hasMore: boolean } {
  const kept = rows.slice(0, page.limit);
  return { rows: page.isBackward ? kept.reverse() : kept, hasMore: rows.length > page.limit };
}

/** Whether the operation selects `name` directly on the field being resolved. Directives are taken as if they held. */
export function selects(info: GraphQLResolveInfo, name: string): boolean {
  const isSelected = (selection: SelectionNode): boolean => {
    if (selection.kind === 'Field') return selection.name.value === name;
    if (selection.kind === 'InlineFragment') return selection.selectionSet.selections.some(isSelected);
    return info.fragments[selection.name.value]?.selectionSet.selections.some(isSelected) ?? false;
  };
  return info.fieldNodes.some((node: FieldNode) => node.selectionSet?.selections.some(isSelected) ?? false);
}
