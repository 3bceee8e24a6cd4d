import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  GraphQLError,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';

// The formula. An operation costs as many points as its answer can hold objects: one for each field that answers an
// object, as many for each list as it can be long (a connection: the size of the page that is asked for; `nodes`: the ids;
// else what the field's extension `listSizeMax` says, or 10), times what is selected in each. Where an object can be of several types, the dearest counts. What is selected
// twice counts twice. Each field of a mutation or subscription is 10 more, and asking for the schema is 100 in all.

/** Entries of a page that does not say how many. @default 20 */
export const pageSizeDefault = 20;
/** @default 100 */
export const pageSizeMax = 100;
/** Entries that a list which is no connection can have, where its field does not say it. @default 10 */
const listSizeDefault = 10;
/** Of each field of a mutation or subscription, beside its answer. @default 10 */
export const effectCost = 10;
/** Of `__schema` and `__type`. @default 100 */
export const introspectionCost = 100;

/** Coerced variables by name. */
export type Variables = Readonly<Record<string, unknown>>;

/** What an operation costs with given variables, in points. @throws GraphQLError `BAD_USER_INPUT`: a page outside 1–100. */
export type Price = (variables: Variables) => number;

/**
 * Works out an operation's price. The document must be valid, and must have passed `checkDocument`, which bounds its
 * fields.
 */
export function compilePrice(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): Price {
  const fragments = new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );
  const rootType = schema.getRootType(operation.operation);
  if (!rootType) throw new Error('A valid operation has a root type.');
  const compiler: Compiler = { schema, fragments, fragmentPrices: new Map() };
  return compileSelections(compiler, { parent: rootType, pageSize: null }, operation.selectionSet);
}

interface Compiler {
  schema: GraphQLSchema;
  fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  fragmentPrices: Map<string, Price>;
}

/** Where a selection set stands. */
interface Place {
  parent: GraphQLCompositeType;
  /** In a connection: how long its page can be. */
  pageSize: Price | null;
}

/** What is selected of every object, and what only of those of one type. */
interface Parts {
  common: Price[];
  byType: Map<string, Price[]>;
}

function compileSelections(compiler: Compiler, place: Place, { selections }: SelectionSetNode): Price {
  const parts: Parts = { common: [], byType: new Map() };
  for (const selection of selections) {
    const price = whereIncluded(selection, compileSelection(compiler, place, selection));
    const typeName = narrowedTo(compiler, place, selection);
    if (typeName === null) parts.common.push(price);
    else parts.byType.set(typeName, [...(parts.byType.get(typeName) ?? []), price]);
  }
  const { common } = parts;
  const alternatives = [...parts.byType.values()];
  return (variables) => {
    let dearest = 0;
    for (const prices of alternatives) dearest = Math.max(dearest, sum(prices, variables));
    return dearest + sum(common, variables);
  };
}

function compileSelection(compiler: Compiler, place: Place, selection: SelectionNode): Price {
  if (selection.kind === Kind.FIELD) return compileField(compiler, place, selection);
  if (selection.kind === Kind.INLINE_FRAGMENT) {
    const parent = typeNamed(compiler, selection.typeCondition?.name.value) ?? place.parent;
    return compileSelections(compiler, { ...place, parent }, selection.selectionSet);
  }
  const name = selection.name.value;
  const known = place.pageSize === null ? compiler.fragmentPrices.get(name) : undefined;
  if (known) return known;
  const fragment = compiler.fragments.get(name);
  const parent = typeNamed(compiler, fragment?.typeCondition.name.value);
  if (!fragment || !parent) throw new Error('A valid document has the fragments that it spreads.');
  const price = compileSelections(compiler, { ...place, parent }, fragment.selectionSet);
  if (place.pageSize === null) compiler.fragmentPrices.set(name, price);
  return price;
}

function compileField(compiler: Compiler, { parent, pageSize }: Place, node: FieldNode): Price {
  const name = node.name.value;
  if (name === '__typename') return () => 0;
  if (name === '__schema' || name === '__type') return () => introspectionCost;
  const field = fieldNamed(parent, name);
  const own = isEffect(compiler, parent) ? effectCost : 0;
  const type = getNamedType(field.type);
  if (!isCompositeType(type) || !node.selectionSet) return () => own;
  const isList = isListType(getNullableType(field.type));
  const pageOfThis = field.args.some((arg) => arg.name === 'first') ? compilePageSize(node) : null;
  const each = compileSelections(compiler, { parent: type, pageSize: pageOfThis }, node.selectionSet);
  if (!isList) return (variables) => own + 1 + each(variables);
  const size = pageSize ?? compileListSize(node, field);
  return (variables) => own + size(variables) * (1 + each(variables));
}

function compilePageSize(node: FieldNode): Price {
  const [first, last] = [argumentOf(node, 'first'), argumentOf(node, 'last')];
  return (variables) => {
    const size = readValue(first, variables) ?? readValue(last, variables) ?? pageSizeDefault;
    if (typeof size === 'number' && Number.isInteger(size) && size >= 1 && size <= pageSizeMax) return size;
    throw new GraphQLError(`A page has 1 to ${pageSizeMax} entries.`, {
      nodes: node,
      extensions: { code: 'BAD_USER_INPUT' },
    });
  };
}

/** Of `nodes(ids: …)` as many as there are ids; else what the field says. */
function compileListSize(node: FieldNode, { extensions }: GraphQLField<unknown, unknown>): Price {
  const ids = argumentOf(node, 'ids');
  const { listSizeMax } = extensions;
  const size = typeof listSizeMax === 'number' ? listSizeMax : listSizeDefault;
  if (!ids) return () => size;
  return (variables) => {
    if (ids.kind === Kind.LIST) return ids.values.length;
    const given = readValue(ids, variables);
    return Array.isArray(given) ? given.length : 1;
  };
}

/** A selection's price, or nothing where `@skip` or `@include` says so. */
function whereIncluded({ directives = [] }: SelectionNode, price: Price): Price {
  const conditions = directives.flatMap(({ name, arguments: given }) => {
    const condition = given?.find((argument) => argument.name.value === 'if')?.value;
    if (!condition || (name.value !== 'skip' && name.value !== 'include')) return [];
    return [{ condition, unless: name.value === 'skip' }];
  });
  if (conditions.length === 0) return price;
  return (variables) =>
    conditions.some(({ condition, unless }) => readValue(condition, variables) === unless) ? 0 : price(variables);
}

/** The type to whose objects a fragment is narrowed, if these cannot be of its place's type by themselves. */
function narrowedTo(compiler: Compiler, { parent }: Place, selection: SelectionNode): string | null {
  if (selection.kind === Kind.FIELD) return null;
  const condition =
    selection.kind === Kind.INLINE_FRAGMENT
      ? selection.typeCondition
      : compiler.fragments.get(selection.name.value)?.typeCondition;
  const type = typeNamed(compiler, condition?.name.value);
  return type && isObjectType(type) && type !== parent ? type.name : null;
}

function typeNamed({ schema }: Compiler, name: string | undefined): GraphQLCompositeType | null {
  const type = name === undefined ? undefined : schema.getType(name);
  return isCompositeType(type) ? type : null;
}

function fieldNamed(parent: GraphQLCompositeType, name: string): GraphQLField<unknown, unknown> {
  const field = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
  if (!field) throw new Error('A valid operation selects fields that there are.');
  return field;
}

function isEffect({ schema }: Compiler, parent: GraphQLCompositeType): boolean {
  return parent === schema.getMutationType() || parent === schema.getSubscriptionType();
}

function argumentOf(node: FieldNode, name: string): ValueNode | undefined {
  return node.arguments?.find((argument) => argument.name.value === name)?.value;
}

/** A number, boolean or variable's value; undefined for what is absent or null. */
function readValue(node: ValueNode | undefined, variables: Variables): unknown {
  switch (node?.kind) {
    case Kind.VARIABLE:
      return variables[node.name.value] ?? undefined;
    case Kind.INT:
      return Number(node.value);
    case Kind.BOOLEAN:
      return node.value;
    default:
      return undefined;
  }
}

function sum(prices: readonly Price[], variables: Variables): number {
  let total = 0;
  for (const price of prices) total += price(variables);
  return total;
}
