import { z } from 'zod';
import type { AttributeDefinition, ScalarType } from '../attributes/attribute-definition.ts';
import { DomainError } from '../errors.ts';
import { type Sql, sql } from '../storage/database.ts';
import type { ArgumentObject } from './argument.ts';
import {
  type Clock,
  comparisonFields,
  comparisonInWords,
  comparisonSchema,
  comparisonToSql,
  decideComparison,
  type Operand,
  parseComparison,
} from './comparison.ts';
import { listOf, parseInput } from './predicate.ts';

const scalarType = z.enum(['STRING', 'NUMBER', 'BOOLEAN', 'DATE', 'DATETIME']);
const fieldSchema = comparisonSchema.extend({ field: z.string(), type: scalarType });
type FieldComparison = z.infer<typeof fieldSchema>;

/** A condition on a custom attribute, in normal form: with the type that the attribute had when it was written. */
export const attributeSchema = z.discriminatedUnion('type', [
  comparisonSchema.extend({ name: z.string(), type: scalarType }),
  z.strictObject({
    name: z.string(),
    type: z.literal('OBJECT_LIST'),
    exists: z.boolean().optional(),
    any: z.array(fieldSchema).optional(),
    all: z.array(fieldSchema).optional(),
  }),
]);
export type AttributeCondition = z.infer<typeof attributeSchema>;
type ListCondition = Extract<AttributeCondition, { type: 'OBJECT_LIST' }>;

const fieldArgument: ArgumentObject = {
  name: 'ObjectFieldCondition',
  description: 'What a field of an object is: all that is given holds. At least one operator.',
  fields: {
    field: { type: 'String', isRequired: true, description: 'A field that the list was defined with.' },
    ...comparisonFields,
  },
};

/** How a custom attribute is asked for. */
export const attributeArgument: ArgumentObject = {
  name: 'AttributeCondition',
  description:
    'What a custom attribute is: all that is given holds, at least one operator. Which operators there are, and how a value is written, goes by the type that the attribute was defined with; another is ATTRIBUTE_INVALID. Without a value only `exists: false` holds.',
  fields: {
    name: { type: 'String', isRequired: true, description: 'A defined attribute.' },
    ...comparisonFields,
    any: {
      type: fieldArgument,
      isList: true,
      description: 'OBJECT_LIST only: some object of the list is as all of these say.',
    },
    all: {
      type: fieldArgument,
      isList: true,
      description: 'OBJECT_LIST only: there are objects in the list, and each of them is as all of these say.',
    },
  },
};

const namedSchema = z.looseObject({ name: z.string() });
const listSchema = z.strictObject({
  exists: z.boolean().optional(),
  any: z.unknown().optional(),
  all: z.unknown().optional(),
});
const fieldInputSchema = listOf(z.looseObject({ field: z.string() }));

/** @throws DomainError `ATTRIBUTE_INVALID` for what is not defined or of another type, and as `parseComparison`. */
export function parseAttributeCondition(
  input: unknown,
  definitions: ReadonlyMap<string, AttributeDefinition>,
  path: readonly string[],
): AttributeCondition {
  const { name: given, ...comparison } = parseInput(namedSchema, input, path);
  const name = given.normalize('NFC');
  const definition = definitions.get(name);
  if (!definition) throw new DomainError('ATTRIBUTE_INVALID', 'There is no attribute of this name.', [...path, 'name']);
  if (definition.type === 'OBJECT_LIST') {
    const types = new Map(definition.fields.map((field) => [field.name, field.type]));
    return parseListCondition(comparison, { name, types, path });
  }
  return { name, type: definition.type, ...parseComparison(comparison, definition.type, path) };
}

function parseListCondition(
  comparison: Record<string, unknown>,
  { name, types, path }: { name: string; types: ReadonlyMap<string, ScalarType>; path: readonly string[] },
): ListCondition {
  const unknown = Object.keys(comparison).find((operator) => !['exists', 'any', 'all'].includes(operator));
  if (unknown !== undefined) {
    throw new DomainError('ATTRIBUTE_INVALID', 'An OBJECT_LIST is compared by exists, any, all.', [...path, unknown]);
  }
  const { exists, any, all } = parseInput(listSchema, comparison, path);
  if (Object.keys(comparison).length === 0) throw new DomainError('VALUE_INVALID', 'Say how it is compared.', path);
  const parseFields = (input: unknown, at: readonly string[]) =>
    parseInput(fieldInputSchema, input, at).map(({ field: given, ...rest }, index): FieldComparison => {
      const [field, place] = [given.normalize('NFC'), [...at, String(index)]];
      const type = types.get(field);
      if (type) return { field, type, ...parseComparison(rest, type, place) };
      throw new DomainError('ATTRIBUTE_INVALID', 'The objects of this list are declared without this field.', [
        ...place,
        'field',
      ]);
    });
  return {
    name,
    type: 'OBJECT_LIST',
    ...(exists === undefined ? {} : { exists }),
    ...(any === undefined ? {} : { any: parseFields(any, [...path, 'any']) }),
    ...(all === undefined ? {} : { all: parseFields(all, [...path, 'all']) }),
  };
}

/** A value under a name in a jsonb object of custom attributes. */
function toOperand(attributes: Sql, name: string, type: ScalarType): Operand {
  return {
    type,
    value:
      type === 'NUMBER'
        ? sql`attribute_number(${attributes}, ${name}::text)`
        : type === 'BOOLEAN'
          ? sql`case when jsonb_typeof(${attributes} -> ${name}::text) = 'boolean' then ${attributes} ->> ${name}::text end`
          : sql`(attribute_text(${attributes}, ${name}::text) collate "C")`,
    isPresent: sql`${attributes} ? ${name}::text`,
    // What the index over all attributes answers.
    equals: (wanted) => sql`${attributes} @> ${JSON.stringify({ [name]: wanted })}::jsonb`,
  };
}

/** Whether an object of custom attributes is so. Wants `u` in scope. Null counts as false. */
export function attributeToSql(condition: AttributeCondition, attributes: Sql): Sql {
  const { name, type } = condition;
  // What the indexes leave out.
  const isPresent = sql`${attributes} ? ${name}::text`;
  if (type === 'OBJECT_LIST') return listToSql(condition, attributes);
  const { name: _, type: __, ...comparison } = condition;
  const operand = toOperand(attributes, name, type);
  const isText = type !== 'NUMBER' && type !== 'BOOLEAN';
  const beginning = sql`(attribute_beginning(${attributes}, ${name}::text) collate "C")`;
  const holds = comparisonToSql(comparison, isText ? { ...operand, beginning } : operand);
  return comparison.exists === false ? holds : sql`${isPresent} and ${attributes} <> '{}' and ${holds}`;
}

function listToSql({ name, exists, any, all }: ListCondition, attributes: Sql): Sql {
  const objects = sql`jsonb_array_elements(case when jsonb_typeof(${attributes} -> ${name}::text) = 'array'
    then ${attributes} -> ${name}::text else '[]' end) as o (value)`;
  const fits = (fields: readonly FieldComparison[]) =>
    fields
      .map(({ field, type, ...comparison }) => comparisonToSql(comparison, toOperand(sql`o.value`, field, type)))
      .reduce((both, condition) => sql`${both} and ${condition}`);
  const conditions = [
    exists === undefined ? null : exists ? sql`${attributes} ? ${name}::text` : sql`not ${attributes} ? ${name}::text`,
    any &&
      sql`${attributes} @> ${JSON.stringify({ [name]: [toExample(any)] })}::jsonb
      and exists (select from ${objects} where ${fits(any)})`,
    all &&
      sql`exists (select from ${objects}) and not exists (select from ${objects} where (${fits(all)}) is not true)`,
  ].filter((condition) => condition !== null && condition !== undefined);
  return conditions.reduce((both, condition) => sql`${both} and ${condition}`);
}

/** An object that is contained in every one that fits: for the index. */
function toExample(fields: readonly FieldComparison[]): Record<string, unknown> {
  return Object.fromEntries(fields.flatMap(({ field, eq }) => (eq === undefined ? [] : [[field, eq]])));
}

/** The same as {@link attributeToSql} for custom attributes that were read. */
export function decideAttribute(
  condition: AttributeCondition,
  attributes: Readonly<Record<string, unknown>>,
  clock: Clock,
): boolean {
  const found = attributeValueOf(attributes, condition.name);
  if (condition.type !== 'OBJECT_LIST') {
    const { name: _, type, ...comparison } = condition;
    return decideComparison(comparison, type, found, clock);
  }
  const { exists, any, all } = condition;
  const objects = Array.isArray(found) ? found.map((item: unknown) => Object(item)) : [];
  const fits = (fields: readonly FieldComparison[]) => (object: object) =>
    fields.every(({ field, type, ...comparison }) =>
      decideComparison(comparison, type, attributeValueOf(object, field), clock),
    );
  return (
    (exists === undefined || exists === (found !== undefined)) &&
    (any === undefined || objects.some(fits(any))) &&
    (all === undefined || (objects.length > 0 && objects.every(fits(all))))
  );
}

/** A name is data: no prototype is asked for it. */
export function attributeValueOf(attributes: object, name: string): unknown {
  return Object.hasOwn(attributes, name) ? Reflect.get(attributes, name) : undefined;
}

/** In words: `the attribute "plan" is "gold"`. */
export function attributeInWords(condition: AttributeCondition): string {
  const { name, type } = condition;
  const subject = `the attribute ${JSON.stringify(name)}`;
  if (type !== 'OBJECT_LIST') {
    const { name: _, type: __, ...comparison } = condition;
    return `${subject} ${comparisonInWords(comparison)}`;
  }
  const inWords = (fields: readonly FieldComparison[]) =>
    fields
      .map(({ field, type: _, ...comparison }) => `${JSON.stringify(field)} ${comparisonInWords(comparison)}`)
      .join(', ');
  const { exists, any, all } = condition;
  return [
    ...(exists === undefined ? [] : [`${subject} has ${exists ? 'a' : 'no'} value`]),
    ...(any === undefined ? [] : [`in ${subject} some object's ${inWords(any)}`]),
    ...(all === undefined ? [] : [`in ${subject} every object's ${inWords(all)}`]),
  ].join(' and ');
}
