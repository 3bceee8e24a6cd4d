import {
  type DocumentNode,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  Kind,
  TypeInfo,
  type ValueNode,
  visit,
  visitWithTypeInfo,
} from 'graphql';

/** Inputs whose texts may hold placeholders, in which what is known of a person is filled in. */
const typesOfTexts: ReadonlySet<string> = new Set([
  'NotificationContentInput',
  'NotificationVariationInput',
  'NotificationButtonInput',
]);
/** Fields of them that say for whom, and nothing. */
const fieldsWithoutText: ReadonlySet<string> = new Set(['language', 'segment']);

/**
 * Names of the variables of a valid document by which whoever runs it could write placeholders: `{{ user.lastName }}` in the URL
 * of a picture tells whoever answers there. Values that a text of the document names, `{{ data.x }}`, are no text of that kind.
 */
export function listVariablesOfTexts(schema: GraphQLSchema, document: DocumentNode): ReadonlySet<string> {
  const names = new Set<string>();
  const typeInfo = new TypeInfo(schema);
  const visitor = visitWithTypeInfo(typeInfo, {
    Argument({ value }) {
      const type = typeInfo.getInputType();
      if (type) for (const name of variablesIn(value, { type, isText: false })) names.add(name);
    },
  });
  visit(document, visitor);
  return names;
}

/** Where a value stands. JSON objects stand in variables only. */
interface Slot {
  type: GraphQLInputType;
  isText: boolean;
}

function variablesIn(value: ValueNode, { type, isText }: Slot): string[] {
  const named = getNamedType(type);
  switch (value.kind) {
    case Kind.VARIABLE:
      return isText || hasTexts(named) ? [value.name.value] : [];
    case Kind.LIST:
      return value.values.flatMap((item) => variablesIn(item, { type: named, isText }));
    case Kind.OBJECT:
      return value.fields.flatMap((field) => {
        const inner = isInputObjectType(named) ? named.getFields()[field.name.value] : undefined;
        const isInnerText = typesOfTexts.has(named.name) && !fieldsWithoutText.has(field.name.value);
        return inner ? variablesIn(field.value, { type: inner.type, isText: isInnerText }) : [];
      });
    default:
      return [];
  }
}

function hasTexts(type: GraphQLInputType, seen: ReadonlySet<string> = new Set()): boolean {
  const named = getNamedType(type);
  if (!isInputObjectType(named) || seen.has(named.name)) return false;
  const within = new Set([...seen, named.name]);
  return typesOfTexts.has(named.name) || Object.values(named.getFields()).some((field) => hasTexts(field.type, within));
}
