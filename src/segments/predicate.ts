import { z } from 'zod';
import type { AttributeDefinition } from '../attributes/attribute-definition.ts';
import { DomainError } from '../errors.ts';
import type { Sql } from '../storage/database.ts';
import type { Argument } from './argument.ts';
import type { EventCondition } from './event-condition.ts';
import type { Person } from './person.ts';

/** Where in an input a predicate stands, and what a caller's filter may name. */
export interface Place {
  path: readonly string[];
  definitions: Record<'USER' | 'INSTALLATION', ReadonlyMap<string, AttributeDefinition>>;
}

/** What was decided of one user. */
export interface Decision {
  holds: boolean;
  /** The value that decided it; null: there is none. */
  value: unknown;
  /** What it was decided from, where that is a filter of its own. */
  reasons?: readonly Reason[];
}

/** One condition of a filter, and why it holds for a user or does not. */
export interface Reason extends Decision {
  /** Where it stands in the filter. */
  path: readonly string[];
  /** The condition in words. */
  condition: string;
}

/** How a condition knows of segments. A segment that there is not has no members. */
export interface Scope {
  /** SQL that says whether `u` is a member. */
  toMemberSql(segmentId: string): Sql;
  decideMember(segmentId: string, person: Person): Decision;
  /** SQL that says whether a push to the members may go to `i`; null: to any. */
  toInstallationSql(segmentId: string): Sql | null;
}

/** A predicate with its arguments. */
export interface Condition {
  /** In words, as in "It …": "has the tag "vip"". */
  readonly words: string;
  /** The segment that it names. */
  readonly segmentId: string | null;
  /** The topic that it names. */
  readonly topicId: string | null;
  /** The events that it asks of: to be read with a person. */
  readonly event: EventCondition | null;
  /** Whether it holds for `u`, a row of users. Null counts as false. */
  toSql(scope: Scope): Sql;
  /** The same for one user, in plain code. */
  decide(person: Person, scope: Scope): Decision;
  /** Whether a push to whom it holds for may go to `i`, a row of installations; null: to any. */
  toInstallationSql(scope: Scope): Sql | null;
}

/** Something that may be so of a user: data, and the decision. Registered by one line of `predicates.ts`. */
export interface Predicate {
  /** The field of `AudienceFilter`. */
  readonly name: string;
  readonly argument: Argument;
  /** Arguments as GraphQL lets them in, in normal form: JSON. @throws DomainError with the path in the input. */
  parse(input: unknown, place: Place): unknown;
  /** From the normal form. */
  bind(stored: unknown): Condition;
}

interface PredicateDefinition<Args> {
  name: string;
  argument: Argument;
  /** The normal form. Takes what GraphQL lets in too, unless there is a `parse`. */
  args: z.ZodType<Args>;
  parse?(input: unknown, place: Place): Args;
  words(args: Args): string;
  toSql(args: Args, scope: Scope): Sql;
  decide(args: Args, person: Person, scope: Scope): Decision;
  segmentId?(args: Args): string;
  topicId?(args: Args): string;
  event?(args: Args): EventCondition;
  toInstallationSql?(args: Args, scope: Scope): Sql | null;
}

/** A predicate whose arguments are of one type, for the registry, which knows none. */
export function definePredicate<Args>(definition: PredicateDefinition<Args>): Predicate {
  const { name, argument, args: schema, parse } = definition;
  return {
    name,
    argument,
    parse: (input, place) => (parse ? parse(input, place) : parseInput(schema, input, place.path)),
    bind(stored) {
      const args = schema.parse(stored);
      return {
        words: definition.words(args),
        segmentId: definition.segmentId?.(args) ?? null,
        topicId: definition.topicId?.(args) ?? null,
        event: definition.event?.(args) ?? null,
        toSql: (scope) => definition.toSql(args, scope),
        decide: (person, scope) => definition.decide(args, person, scope),
        toInstallationSql: (scope) => definition.toInstallationSql?.(args, scope) ?? null,
      };
    },
  };
}

/** Input by its schema. @throws DomainError `LIMIT_EXCEEDED` for what is too long, else `VALUE_INVALID`, at its path. */
export function parseInput<Output>(schema: z.ZodType<Output>, input: unknown, path: readonly string[]): Output {
  const { data, error } = schema.safeParse(withoutNulls(input));
  const [issue] = error?.issues ?? [];
  if (!issue) return schema.parse(data);
  const code = issue.code === 'too_big' && issue.origin === 'array' ? 'LIMIT_EXCEEDED' : 'VALUE_INVALID';
  throw new DomainError(code, issue.message, [...path, ...issue.path.map(String)]);
}

/** A field that is null is as one that is absent. */
function withoutNulls(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || input instanceof Date) return input;
  if (Array.isArray(input)) return input.map(withoutNulls);
  const given = Object.entries(input).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [key, withoutNulls(value)]));
}

/** @default 1_000 // entries of a list */
const entriesMax = 1_000;

/** A list that names something: 1 to 1,000 entries, each kept once. */
export function listOf<Entry>(entry: z.ZodType<Entry>): z.ZodType<Entry[]> {
  return z
    .array(entry)
    .min(1, 'Name at least one.')
    .max(entriesMax, `At most ${entriesMax.toLocaleString('en')} entries.`)
    .transform((entries) => [...new Set(entries)]);
}

/** Values in words: `"a" or "b"`. */
export function toWords(values: readonly unknown[]): string {
  const told = values.slice(0, 5).map((value) => JSON.stringify(value));
  const rest = values.length - told.length;
  return [...told, ...(rest > 0 ? [`${rest} others`] : [])].join(' or ');
}
