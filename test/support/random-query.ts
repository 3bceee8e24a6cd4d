import {
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isListType,
  isObjectType,
  isRequiredArgument,
} from 'graphql';
import type { Random } from './random.ts';

interface QueryOptions {
  schema: GraphQLSchema;
  random: Random;
  /** What stands in for required arguments, as GraphQL has it, by `<type>.<field>`. Fields that lack one are left out. */
  givenArguments: Readonly<Record<string, readonly string[]>>;
}

const depthMax = 6;

/** Some query. It may be no valid one: fields of several types that an object can have may not go together. */
export function makeQuery(options: QueryOptions): string {
  const type = options.schema.getQueryType();
  if (!type) throw new Error('The schema has queries.');
  return selectionsOf(type, options, 0);
}

function selectionsOf(type: GraphQLCompositeType, options: QueryOptions, depth: number): string {
  const { schema, random } = options;
  if (!isObjectType(type)) {
    const possible = random.shuffle(schema.getPossibleTypes(type)).slice(0, 3);
    return `{ __typename ${possible.map((one) => `... on ${one.name} ${selectionsOf(one, options, depth)}`).join(' ')} }`;
  }
  const fields = random.shuffle(
    Object.values(type.getFields()).filter((field) => isCompositeType(getNamedType(field.type))),
  );
  const texts =
    depth < depthMax
      ? fields.slice(0, random.integer(1, 2)).map((field) => fieldOf(type.name, field, options, depth))
      : [];
  return `{ ${['__typename', ...texts].join(' ')} }`;
}

function fieldOf(owner: string, field: GraphQLField<unknown, unknown>, options: QueryOptions, depth: number): string {
  const { random, givenArguments } = options;
  const type = getNamedType(field.type);
  if (!isCompositeType(type)) return '';
  const given = givenArguments[`${owner}.${field.name}`];
  if (!given && field.args.some(isRequiredArgument)) return '';
  const page = random.pick(['', '(first: 1)', '(last: 3)', '(first: 7)']);
  const isPaged = field.args.some(({ name }) => name === 'first');
  const written = given ? `(${random.pick(given)})` : isPaged ? page : '';
  // What is in a connection is not one level deeper to who reads it.
  const isSame = isPaged || (isListType(getNullableType(field.type)) && owner.endsWith('Connection'));
  return `${field.name}${written} ${selectionsOf(type, options, depth + (isSame ? 0 : 1))}`;
}
