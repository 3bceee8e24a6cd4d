import { DomainError } from '../errors.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { AttributeOwner } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';
import {
  type AttributeDefinition,
  definitionsPerOwnerMax,
  findNameMistake,
  type NewDefinition,
  type ScalarType,
  toAttributeDefinition,
} from './attribute-definition.ts';
import { type AttributeValue, fromAttributeValue, parseAttributeValue } from './attribute-value.ts';
import { insertDefinitions, tooManyDefinitions } from './insert-definitions.ts';

/** Custom attributes as a caller writes them, by name: an absent one stays, null removes it. */
export type CustomAttributesInput = Readonly<Record<string, unknown>>;

/** What is written to a row's `custom_attributes`. */
export interface AttributePatch {
  /** Values in the form in which they are stored. */
  set: Record<string, AttributeValue>;
  /** Names that lose their value. */
  unset: string[];
}

/** A definition that follows from a value under an unknown name. */
export type InferredDefinition = NewDefinition & { path: readonly string[] };

/** Attributes of one input. @default 500 */
const attributesMax = definitionsPerOwnerMax;

/**
 * The definitions of attributes by name, those that are being removed left out. None of them is removed before the commit,
 * so that no value is written that a removal would miss. Takes its locks after those of users and installations.
 */
export async function holdAttributeDefinitions(
  tx: Transaction,
  owner: AttributeOwner,
  names: readonly string[],
): Promise<ReadonlyMap<string, AttributeDefinition>> {
  const wanted = [...new Set(names.map((name) => name.normalize('NFC')))];
  const rows = await tx.$queryRaw<unknown[]>(sql`
    select id, name, type::text, fields, created_at from attribute_definitions
    where owner = ${owner}::attribute_owner and name = any(${wanted}::text[]) and removed_at is null
    order by name for share
  `);
  return new Map(rows.map(toAttributeDefinition).map((definition) => [definition.name, definition]));
}

/** @throws DomainError `LIMIT_EXCEEDED`: no more are looked up at once than can be defined. */
export function refuseTooManyAttributes(count: number, path: readonly string[]): void {
  if (count <= attributesMax) return;
  throw new DomainError('LIMIT_EXCEEDED', `At most ${attributesMax} attributes at once.`, path);
}

/** A row's custom attributes, changed key by key. Pure. */
export function patchAttributes(stored: Prisma.JsonValue, { set, unset }: AttributePatch): Prisma.JsonObject {
  if (typeof stored !== 'object' || stored === null || Array.isArray(stored))
    throw new Error('These are no attributes.');
  const kept = Object.entries(stored).filter(([name]) => !unset.includes(name));
  return { ...Object.fromEntries(kept), ...set };
}

/** How custom attributes are read. */
export interface AttributeReading {
  /** Of the names in the input, as `holdAttributeDefinitions` gives them. */
  definitions: ReadonlyMap<string, NewDefinition>;
  /** What becomes of a scalar under another name (rule U13). Lists are always declared. */
  undeclared: 'REFUSE' | 'INFER';
  /** Of the input. */
  path: readonly string[];
}

/**
 * What custom attributes change (rules U13, U15). Names are data: no prototype is asked for them. Pure.
 *
 * @throws DomainError `ATTRIBUTE_INVALID` with the path down to the bad value; `LIMIT_EXCEEDED` for too many.
 */
export function parseCustomAttributes(
  input: CustomAttributesInput,
  { definitions, undeclared, path }: AttributeReading,
): { patch: AttributePatch; inferred: InferredDefinition[] } {
  const entries = Object.entries(input);
  refuseTooManyAttributes(entries.length, path);
  const set = new Map<string, AttributeValue>();
  const unset = new Set<string>();
  const inferred: InferredDefinition[] = [];
  for (const [given, value] of entries) {
    const at = [...path, given];
    const name = given.normalize('NFC');
    if (set.has(name) || unset.has(name)) throw new DomainError('ATTRIBUTE_INVALID', 'This name is there twice.', at);
    let shape: NewDefinition | undefined = definitions.get(name);
    if (!shape && undeclared === 'INFER') {
      shape = inferDefinition(given, value, at);
      if (shape) inferred.push({ ...shape, path: at });
    }
    if (!shape) throw new DomainError('ATTRIBUTE_INVALID', 'There is no attribute of this name: define it first.', at);
    if (value === null) unset.add(name);
    else set.set(name, parseAttributeValue(value, shape, at));
  }
  return { patch: { set: Object.fromEntries(set), unset: [...unset] }, inferred };
}

const inferredTypes = new Map<string, ScalarType>([
  ['string', 'STRING'],
  ['number', 'NUMBER'],
  ['boolean', 'BOOLEAN'],
]);

function inferDefinition(given: string, value: unknown, path: readonly string[]): NewDefinition | undefined {
  const type = inferredTypes.get(typeof value);
  const mistake = type && findNameMistake(given);
  if (mistake) throw new DomainError('ATTRIBUTE_INVALID', mistake, path);
  return type && { name: given.normalize('NFC'), type, fields: null };
}

/**
 * Defines what was inferred, in the transaction that writes the values. Of two that infer one name at once, the second is
 * repeated with the first one's definition.
 *
 * @throws DomainError `ATTRIBUTE_INVALID` for a name that is being removed, `LIMIT_EXCEEDED` for one definition too many.
 * @throws StaleReadError when somebody else has defined a name meanwhile.
 */
export async function defineInferred(
  tx: Transaction,
  owner: AttributeOwner,
  inferred: readonly InferredDefinition[],
): Promise<void> {
  if (inferred.length === 0) return;
  const { taken, isFull } = await insertDefinitions(tx, owner, inferred);
  const [first] = inferred;
  if (isFull) throw new DomainError('LIMIT_EXCEEDED', tooManyDefinitions, first?.path);
  const leaving = inferred.find(({ name }) => taken.get(name) === 'leaving');
  if (leaving) throw new DomainError('ATTRIBUTE_INVALID', 'An attribute of this name is being removed.', leaving.path);
  if (taken.size > 0) throw new StaleReadError();
}

/** Stored custom attributes as GraphQL tells them, by name: those whose definition is in force. */
export function toCustomAttributes(
  stored: unknown,
  definitions: ReadonlyMap<string, AttributeDefinition>,
): Record<string, unknown> {
  const told = Object.entries(Object(stored)).map(([name, value]) => {
    const definition = definitions.get(name);
    return [name, definition && fromAttributeValue(value, definition)] as const;
  });
  return Object.fromEntries(told.filter(([, value]) => value !== undefined));
}
