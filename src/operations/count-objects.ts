import {
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionSetNode,
} from 'graphql';
import { effectCost, introspectionCost } from './price.ts';

/** What an answer's data turned out to cost, in points, by the formula of the price. */
export type ObjectCount = (data: unknown) => number;

/**
 * Where an answer has objects: by response name what is selected in them, or what they cost in all. What has no place here is
 * a value, also when it is an object as JSON.
 */
type Shape = Map<string, Shape | number>;

/**
 * Works out how an operation's answers are counted: by their objects, and what each field of a mutation costs beside. The
 * document must be valid (of one response name there is one shape, whatever the type), and must have passed `checkDocument`.
 */
export function compileObjectCount(document: DocumentNode, operation: OperationDefinitionNode): ObjectCount {
  const fragments = new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );
  const shape: Shape = new Map();
  addShape(shape, operation.selectionSet, fragments);
  const hasEffects = operation.operation !== OperationTypeNode.QUERY;
  return (data) => {
    // Where an error has taken the whole answer away, nobody can tell what was done before.
    if (typeof data !== 'object' || data === null) return hasEffects ? shape.size * effectCost : 0;
    const effectCount = hasEffects ? Object.keys(data).filter((name) => shape.has(name)).length : 0;
    return effectCount * effectCost + countIn(data, shape);
  };
}

function addShape(
  shape: Shape,
  { selections }: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): void {
  for (const selection of selections) {
    if (selection.kind === Kind.FRAGMENT_SPREAD) {
      const fragment = fragments.get(selection.name.value);
      if (fragment) addShape(shape, fragment.selectionSet, fragments);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      addShape(shape, selection.selectionSet, fragments);
    } else if (selection.name.value.startsWith('__')) {
      if (selection.selectionSet) shape.set(selection.alias?.value ?? selection.name.value, introspectionCost);
    } else if (selection.selectionSet) {
      const name = selection.alias?.value ?? selection.name.value;
      const known = shape.get(name);
      const inner: Shape = known instanceof Map ? known : new Map();
      shape.set(name, inner);
      addShape(inner, selection.selectionSet, fragments);
    }
  }
}

function countIn(object: object, shape: Shape): number {
  let total = 0;
  for (const [name, value] of Object.entries(object)) {
    const inner = shape.get(name);
    if (inner !== undefined) total += typeof inner === 'number' ? inner : count(value, inner);
  }
  return total;
}

/** Also what was looked for and is not there. */
function count(value: unknown, shape: Shape): number {
  if (typeof value !== 'object' || value === null) return 1;
  if (!Array.isArray(value)) return 1 + countIn(value, shape);
  let total = 0;
  for (const inner of value) total += count(inner, shape);
  return total;
}
