import { randomUUID } from 'node:crypto';
import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLOutputType,
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql';
import { schema } from '../../src/graphql/schema.ts';

/** Operations that are made from the schema, so that no field is left out of what is tried on all of them. */

type Kind = 'query' | 'mutation' | 'subscription';

/** A field of a root type. */
export interface RootField {
  kind: Kind;
  /** Such as `Query.users`. */
  place: string;
  field: GraphQLField<unknown, unknown>;
}

/** An operation as it is sent. */
export interface GeneratedOperation {
  query: string;
  variables: Record<string, unknown>;
}

export function listRootFields(): RootField[] {
  const roots = [
    ['query', schema.getQueryType()],
    ['mutation', schema.getMutationType()],
    ['subscription', schema.getSubscriptionType()],
  ] as const;
  return roots.flatMap(([kind, root]) =>
    Object.values(root?.getFields() ?? {}).map((field) => ({ kind, place: `${root?.name}.${field.name}`, field })),
  );
}

/**
 * Asks for nothing but the type of what a root field answers. Required arguments get values that name nothing; `given`
 * are others, by their path: `{ 'input.installation': … }`.
 */
export function toOperation({ kind, field }: RootField, given: Record<string, unknown> = {}): GeneratedOperation {
  const isGiven = (name: string) => Object.keys(given).some((path) => path === name || path.startsWith(`${name}.`));
  const args = field.args.filter((argument) => isRequiredArgument(argument) || isGiven(argument.name));
  const declared = args.map(({ name, type }) => `$${name}: ${type}`).join(', ');
  const passed = args.map(({ name }) => `${name}: $${name}`).join(', ');
  const selection = isCompositeType(getNamedType(field.type)) ? '{ __typename }' : '';
  return {
    query: `${kind}${declared && `(${declared})`} { ${field.name}${passed && `(${passed})`} ${selection} }`,
    variables: Object.fromEntries(args.map(({ name, type }) => [name, toValue(type, name, given)])),
  };
}

const scalarValues: Record<string, () => unknown> = {
  ID: () => randomUUID(),
  String: () => 'a',
  Int: () => 1,
  Float: () => 1,
  Boolean: () => false,
  DateTime: () => '2026-11-22T15:04:05Z',
  Date: () => '2026-11-22',
  JSONObject: () => ({}),
};

function toValue(type: GraphQLInputType, path: string, given: Record<string, unknown>): unknown {
  if (path in given) return given[path];
  if (isNonNullType(type)) return toValue(type.ofType, path, given);
  if (isListType(type)) return [];
  if (isEnumType(type)) return type.getValues()[0]?.name;
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields());
    const isGiven = (name: string) => `${path}.${name}` in given;
    const wanted = fields.filter((field) => isRequiredInputField(field) || isGiven(field.name));
    const named = type.isOneOf && wanted.length === 0 ? fields.slice(0, 1) : wanted;
    return Object.fromEntries(named.map((field) => [field.name, toValue(field.type, `${path}.${field.name}`, given)]));
  }
  const value = scalarValues[getNamedType(type).name];
  if (!value) throw new Error(`There is no value for ${type}.`);
  return value();
}

/** Paths of the arguments of a root field, and of the fields of its input, whose type is called `typeName`. */
export function argumentsOf({ field }: RootField, typeName: string): { path: string; isList: boolean }[] {
  const described = field.args.flatMap(({ name, type }) => {
    const named = getNamedType(type);
    const inner = isInputObjectType(named) && !named.isOneOf ? Object.values(named.getFields()) : [];
    return [{ path: name, type }, ...inner.map((input) => ({ path: `${name}.${input.name}`, type: input.type }))];
  });
  return described
    .filter(({ type }) => getNamedType(type).name === typeName)
    .map(({ path, type }) => ({ path, isList: isListType(isNonNullType(type) ? type.ofType : type) }));
}

/**
 * Selections that go from an output type to each object that can be reached from it in at most `depth` fields, each with
 * all that is told of the object there. No type comes twice on one way. Lists are followed as far as their first page.
 */
export function pathsFrom(type: GraphQLOutputType, depth: number, seen: readonly string[] = []): string[] {
  const object = getNamedType(type);
  const types = isObjectType(object) ? [object] : 'getTypes' in object ? object.getTypes() : possibleTypes(object.name);
  return types.flatMap((possible) => {
    if (seen.includes(possible.name)) return [];
    const fields = Object.values(possible.getFields()).filter(({ args }) => !args.some(isRequiredArgument));
    const isConnection = possible.name.endsWith('Connection');
    const leaves = fields.filter((field) => isLeafType(getNamedType(field.type)));
    // What one may not see would take the rest with it.
    const [guarded, plain] = [leaves.filter(isGuarded), leaves.filter((field) => !isGuarded(field))];
    const selected = [plain.map(({ name }) => name).join(' '), ...guarded.map(({ name }) => name)].filter(Boolean);
    const own = selected.map((names) => `{ ... on ${possible.name} { ${names} } }`);
    if (depth === 0) return own;
    const ways = fields.filter(
      (field) => isCompositeType(getNamedType(field.type)) && (!isConnection || field.name === 'nodes'),
    );
    const deeper = ways.flatMap((field) =>
      pathsFrom(field.type, isConnection ? depth : depth - 1, [...seen, possible.name]).map(
        (selection) => `{ ... on ${possible.name} { ${field.name} ${selection} } }`,
      ),
    );
    return [...own, ...deeper];
  });
}

/** Whether a field says itself who may see it, and not only its type. */
function isGuarded({ extensions }: GraphQLField<unknown, unknown>): boolean {
  return Object(extensions.pothosOptions).authScopes !== undefined;
}

/** Fields of objects that say themselves who may see them: `User.segments`. */
export function listGuardedFields(): string[] {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  return Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .filter((type) => !roots.includes(type))
    .flatMap((type) =>
      Object.values(type.getFields())
        .filter(isGuarded)
        .map(({ name }) => `${type.name}.${name}`),
    );
}

function possibleTypes(name: string) {
  const type = schema.getType(name);
  if (!type || !('getFields' in type) || isInputObjectType(type) || isObjectType(type)) return [];
  return schema.getPossibleTypes(type);
}
