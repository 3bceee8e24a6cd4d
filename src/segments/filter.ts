import { z } from 'zod';
import { DomainError } from '../errors.ts';
import { type Sql, sql } from '../storage/database.ts';
import type { Person } from './person.ts';
import { type Condition, type Place, parseInput, type Reason, type Scope } from './predicate.ts';
import { predicates } from './predicates.ts';

/** Levels of all, any and not. @default 8 */
export const filterDepthMax = 8;
/** Conditions, and their groups. @default 100 */
export const filterNodesMax = 100;

/** Of a filter in normal form, as JSON. @default 262_144 // characters */
export const filterCharactersMax = 262_144;

/** A filter in normal form, as it is stored: `{ all: [ … ] }`, `{ any: [ … ] }`, `{ not: … }` or `{ <predicate>: … }`. */
export type StoredFilter = Readonly<Record<string, unknown>>;

/** A filter that can be asked. */
export type Filter =
  | { readonly kind: 'all' | 'any'; readonly parts: readonly Filter[] }
  | { readonly kind: 'not'; readonly part: Filter }
  | { readonly kind: 'predicate'; readonly name: string; readonly condition: Condition };

const byName = new Map(predicates.map((predicate) => [predicate.name, predicate]));
const nodeSchema = z.record(z.string(), z.unknown());
const partsSchema = z.array(z.unknown());

/**
 * A caller's filter (`AudienceFilter`, with local ids) in normal form. One that is empty, or has an empty part, is refused: it
 * would mean everybody, or nobody, by accident (rule N7).
 *
 * @throws DomainError with the path down to what is wrong: `LIMIT_EXCEEDED`, `VALUE_INVALID`, `ATTRIBUTE_INVALID`.
 */
export function parseFilter(input: unknown, place: Place): StoredFilter {
  let nodes = 0;
  function parseNode(node: unknown, path: readonly string[], depth: number): StoredFilter {
    nodes += 1;
    if (nodes > filterNodesMax) {
      throw new DomainError(
        'LIMIT_EXCEEDED',
        `A filter has at most ${filterNodesMax} conditions and groups.`,
        place.path,
      );
    }
    const [[name, argument] = ['', null], ...more] = Object.entries(parseInput(nodeSchema, node, path));
    if (name === '' || more.length > 0)
      throw new DomainError('VALUE_INVALID', 'A condition is exactly one thing.', path);
    const at = [...path, name];
    const predicate = byName.get(name);
    if (predicate) return { [name]: predicate.parse(argument, { ...place, path: at }) };
    if (depth >= filterDepthMax) {
      throw new DomainError('LIMIT_EXCEEDED', `A filter is at most ${filterDepthMax} levels deep.`, at);
    }
    if (name === 'not') return { not: parseNode(argument, at, depth + 1) };
    const parts = parseInput(partsSchema, argument, at);
    if (parts.length === 0) throw new DomainError('VALUE_INVALID', 'Empty: this would mean everybody or nobody.', at);
    return { [name]: parts.map((part, index) => parseNode(part, [...at, String(index)], depth + 1)) };
  }
  const stored = parseNode(input, place.path, 0);
  if (JSON.stringify(stored).length <= filterCharactersMax) return stored;
  const limit = `A filter has at most ${filterCharactersMax.toLocaleString('en')} characters, written as JSON.`;
  throw new DomainError('LIMIT_EXCEEDED', limit, place.path);
}

/** A stored filter as a client writes one; its ids are local ones. Types of attributes are left out: their definitions say them. */
export function toShownFilter(stored: unknown): unknown {
  if (Array.isArray(stored)) return stored.map(toShownFilter);
  if (typeof stored !== 'object' || stored === null) return stored;
  const isTyped = 'name' in stored || 'field' in stored;
  const shown = Object.entries(stored).filter(([key]) => !(isTyped && key === 'type'));
  // Properties of events are called what a caller likes.
  return Object.fromEntries(shown.map(([key, value]) => [key, key === 'properties' ? value : toShownFilter(value)]));
}

/** A stored filter. Fails for one that this version does not know. */
export function readFilter(stored: unknown): Filter {
  const [[name, argument] = ['', null]] = Object.entries(nodeSchema.parse(stored));
  if (name === 'all' || name === 'any') return { kind: name, parts: partsSchema.parse(argument).map(readFilter) };
  if (name === 'not') return { kind: 'not', part: readFilter(argument) };
  const predicate = byName.get(name);
  if (!predicate) throw new Error(`There is no predicate "${name}".`);
  return { kind: 'predicate', name, condition: predicate.bind(argument) };
}

/** All conditions of a filter with where they stand. */
export function listConditions(
  filter: Filter,
  path: readonly string[] = [],
): { condition: Condition; path: readonly string[] }[] {
  if (filter.kind === 'predicate') return [{ condition: filter.condition, path: [...path, filter.name] }];
  const at = [...path, filter.kind];
  if (filter.kind === 'not') return listConditions(filter.part, at);
  return filter.parts.flatMap((part, index) => listConditions(part, [...at, String(index)]));
}

/** Whether a filter holds for `u`, a row of users. Null counts as false, also under `not`. */
export function filterToSql(filter: Filter, scope: Scope): Sql {
  switch (filter.kind) {
    case 'predicate':
      return sql`(${filter.condition.toSql(scope)})`;
    case 'not':
      return sql`(${filterToSql(filter.part, scope)} is not true)`;
    default:
      return joined(
        filter.parts.map((part) => filterToSql(part, scope)),
        filter.kind,
      );
  }
}

function joined(conditions: readonly Sql[], kind: 'all' | 'any'): Sql {
  const word = kind === 'all' ? sql` and ` : sql` or `;
  return sql`(${conditions.reduce((left, right) => sql`${left}${word}${right}`)})`;
}

/**
 * To which installations, `i`, a push may go that is targeted by a filter: to those that fit an `installation` of it. Null: to
 * any. Of `all` it is enough to fit one; of `any` only what holds for `u` counts; what stands under `not` says nothing.
 */
export function filterToInstallationSql(filter: Filter, scope: Scope): Sql | null {
  switch (filter.kind) {
    case 'predicate':
      return filter.condition.toInstallationSql(scope);
    case 'not':
      return null;
    case 'all': {
      const narrowed = filter.parts.map((part) => filterToInstallationSql(part, scope)).filter((part) => part !== null);
      return narrowed.length === 0 ? null : joined(narrowed, 'any');
    }
    case 'any': {
      const parts = filter.parts.map((part) => ({ part, narrowed: filterToInstallationSql(part, scope) }));
      if (parts.every(({ narrowed }) => narrowed === null)) return null;
      const conditions = parts.map(({ part, narrowed }) =>
        narrowed === null ? filterToSql(part, scope) : sql`(${filterToSql(part, scope)} and ${narrowed})`,
      );
      return joined(conditions, 'any');
    }
  }
}

/** What a filter decides of one user: the same as {@link filterToSql}, with every condition of it, groups before their parts. */
export function explainFilter(
  filter: Filter,
  person: Person,
  { scope, path = [] }: { scope: Scope; path?: readonly string[] },
): { holds: boolean; reasons: Reason[] } {
  if (filter.kind === 'predicate') {
    const { condition, name } = filter;
    const at = [...path, name];
    const decision = condition.decide(person, scope);
    const inner = (decision.reasons ?? []).map((reason) => ({ ...reason, path: [...at, ...reason.path] }));
    return { holds: decision.holds, reasons: [{ ...decision, path: at, condition: condition.words }, ...inner] };
  }
  const at = [...path, filter.kind];
  const parts =
    filter.kind === 'not'
      ? [explainFilter(filter.part, person, { scope, path: at })]
      : filter.parts.map((part, index) => explainFilter(part, person, { scope, path: [...at, String(index)] }));
  const { words, decide } = groups[filter.kind];
  const holds = decide(parts.map((part) => part.holds));
  const own = { path: at, condition: words, holds, value: null };
  return { holds, reasons: [own, ...parts.flatMap(({ reasons }) => reasons)] };
}

const groups: Record<'all' | 'any' | 'not', { words: string; decide(parts: readonly boolean[]): boolean }> = {
  all: { words: 'all of these hold', decide: (parts) => parts.every((holds) => holds) },
  any: { words: 'one of these holds', decide: (parts) => parts.includes(true) },
  not: { words: 'this does not hold', decide: (parts) => parts.every((holds) => !holds) },
};
