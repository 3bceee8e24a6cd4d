import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { AttributeOwner, AttributeType } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import {
  type AttributeField,
  type AttributeShape,
  findNameMistake,
  type NewDefinition,
  type ScalarType,
  toAttributeDefinition,
} from './attribute-definition.ts';
import { insertDefinitions, tooManyDefinitions } from './insert-definitions.ts';

/** Says what a custom attribute holds. */
export interface AttributeToDefine {
  principal: string;
  owner: AttributeOwner;
  name: string;
  type: AttributeType;
  /** OBJECT_LIST only, where there has to be one at least. */
  fields?: readonly { name: string; type: AttributeType }[] | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** @default 64 // fields of an object */
const fieldsMax = 64;

/**
 * Defines a custom attribute (rules U13, U15). The same definition again, with its fields in whatever order, changes
 * nothing. A definition never changes: values of the old one would not fit.
 *
 * @throws DomainError `VALUE_INVALID`; `NAME_TAKEN` when the name has another type or other fields; `STATE_CONFLICT` while an
 * attribute of that name is being removed; `LIMIT_EXCEEDED` for one definition or field too many; `IDEMPOTENCY_KEY_REUSED`.
 */
export async function defineAttribute(
  deployment: Deployment,
  request: AttributeToDefine,
): Promise<{ definitionId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const definition = parseDefinition(request);
  return write(deployment, { principal, mutation: 'defineAttribute', idempotencyKey, input }, async (tx) => {
    const { taken, isFull } = await insertDefinitions(tx, request.owner, [definition]);
    if (isFull) throw new DomainError('LIMIT_EXCEEDED', tooManyDefinitions, ['name']);
    if (taken.get(definition.name) === 'leaving') {
      throw new DomainError('STATE_CONFLICT', 'An attribute of this name is being removed.', ['name']);
    }
    const known = await getDefinition(tx, request.owner, definition.name);
    if (!isSameShape(known, definition)) {
      throw new DomainError('NAME_TAKEN', 'An attribute of this name holds something else.', ['name']);
    }
    return { definitionId: known.id };
  });
}

function parseDefinition({ name, type, fields }: AttributeToDefine): NewDefinition {
  const mistake = findNameMistake(name);
  if (mistake) throw new DomainError('VALUE_INVALID', mistake, ['name']);
  return { name: name.normalize('NFC'), ...parseShape(type, fields ?? []) };
}

function parseShape(type: AttributeType, fields: NonNullable<AttributeToDefine['fields']>): AttributeShape {
  if (type === 'OBJECT_LIST') return { type, fields: parseFields(fields) };
  if (fields.length === 0) return { type, fields: null };
  throw new DomainError('VALUE_INVALID', 'Only a list of objects has fields.', ['fields']);
}

function parseFields(fields: NonNullable<AttributeToDefine['fields']>): AttributeField[] {
  if (fields.length === 0) {
    throw new DomainError('VALUE_INVALID', 'Say which fields the objects of the list have.', ['fields']);
  }
  if (fields.length > fieldsMax) {
    throw new DomainError('LIMIT_EXCEEDED', `An object has at most ${fieldsMax} fields.`, ['fields']);
  }
  const parsed = new Map<string, ScalarType>();
  fields.forEach(({ name: given, type }, index) => {
    const path = ['fields', String(index)];
    const name = given.normalize('NFC');
    const mistake = parsed.has(name) ? 'Another field has this name.' : findNameMistake(name);
    if (mistake) throw new DomainError('VALUE_INVALID', mistake, [...path, 'name']);
    if (type === 'OBJECT_LIST') {
      throw new DomainError('VALUE_INVALID', 'A list has no lists in it.', [...path, 'type']);
    }
    parsed.set(name, type);
  });
  return [...parsed].map(([name, type]) => ({ name, type }));
}

async function getDefinition(tx: Transaction, owner: AttributeOwner, name: string) {
  const [row] = await tx.$queryRaw<unknown[]>(sql`
    select id, name, type::text, fields, created_at from attribute_definitions
    where owner = ${owner}::attribute_owner and name = ${name}
  `);
  return toAttributeDefinition(row);
}

function isSameShape(known: AttributeShape, asked: AttributeShape): boolean {
  const fieldsOf = ({ fields }: AttributeShape) => (fields ?? []).map(({ name, type }) => `${type} ${name}`).sort();
  return known.type === asked.type && JSON.stringify(fieldsOf(known)) === JSON.stringify(fieldsOf(asked));
}
