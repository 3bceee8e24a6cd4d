import {
  type ASTNode,
  type DocumentNode,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  Kind,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';

/**
 * Types of objects that are no person's. An argument called after one (`segment`, `segments`), and the `id` of a field that
 * answers one, names nobody; every other `ID` is taken to name a person, so that a new argument is refused until it is here.
 */
const typesOfNobody: ReadonlySet<string> = new Set([
  'App',
  'ApiKey',
  'Notification',
  'Segment',
  'InSegment',
  'Template',
  'Label',
]);
/** What is done to a segment, or sent to it, is done to people. */
const typesOfNobodyInMutations: ReadonlySet<string> = new Set(['App', 'ApiKey', 'Template']);

/** Fields that decide what is said to whoever is meant already, and mean nobody. */
const fieldsOfNobody: ReadonlySet<string> = new Set(['NotificationVariationInput.segment']);

/** Texts that name a person, or say who somebody is. */
const textsOfPeople: ReadonlySet<string> = new Set([
  'externalUserId',
  'email',
  'emails',
  'phone',
  'phones',
  'pushRegistrationId',
  'userToken',
  // An address belongs to whoever registers it last.
  'token',
  'endpoint',
  // Of a filter, by which one person is found as well as many.
  'contains',
  'startsWith',
]);
/** What else does so where something is done to whoever is meant. */
const textsOfPeopleInMutations: ReadonlySet<string> = new Set([...textsOfPeople, 'tag']);

/**
 * Names of the variables of a valid document by which whoever runs it could say which person, installation, recipient or
 * delivery is meant. Goes by where a variable is used: as an argument or inside of one.
 */
export function listVariablesOfPeople(schema: GraphQLSchema, document: DocumentNode): ReadonlySet<string> {
  const names = new Set<string>();
  const isMutation = document.definitions.some(
    (definition) => definition.kind === Kind.OPERATION_DEFINITION && definition.operation === 'mutation',
  );
  const known = isMutation
    ? { nobody: typesOfNobodyInMutations, texts: textsOfPeopleInMutations }
    : { nobody: typesOfNobody, texts: textsOfPeople };
  const typeInfo = new TypeInfo(schema);
  const visitor = visitWithTypeInfo(typeInfo, {
    VariableDefinition: () => false,
    Variable(node, _key, parent, _path, ancestors) {
      const type = typeInfo.getInputType();
      const place = [...ancestors, parent].flat().findLast(isPlace);
      if (!type || !place) return;
      const isArgument = place.kind === Kind.ARGUMENT;
      const answered = isArgument ? getNamedType(typeInfo.getFieldDef()?.type)?.name : undefined;
      const input = isArgument ? undefined : getNamedType(typeInfo.getParentInputType())?.name;
      if (canNamePerson(type, { name: place.name.value, answered, input, ...known })) names.add(node.name.value);
    },
  });
  visit(document, visitor);
  return names;
}

type Place = Extract<ASTNode, { kind: Kind.ARGUMENT | Kind.OBJECT_FIELD }>;

function isPlace(node: unknown): node is Place {
  if (typeof node !== 'object' || node === null || !('kind' in node)) return false;
  return node.kind === Kind.ARGUMENT || node.kind === Kind.OBJECT_FIELD;
}

/** What an argument or input field is called, and for an argument the type that its field answers. */
interface Slot {
  name: string;
  answered?: string | undefined;
  /** Of which input a field is. */
  input?: string | undefined;
  /** Types of objects that are no person's here. */
  nobody: ReadonlySet<string>;
  /** Fields and arguments whose text names a person here. */
  texts: ReadonlySet<string>;
}

function canNamePerson(type: GraphQLInputType, slot: Slot, seen: ReadonlySet<string> = new Set()): boolean {
  const named = getNamedType(type);
  // What an attribute is compared with: a name, a customer's number.
  if (named.name === 'FilterValue') return true;
  if (!isInputObjectType(named)) return named.name === 'ID' ? !namesNobody(slot) : slot.texts.has(slot.name);
  if (seen.has(named.name)) return false;
  const within = new Set([...seen, named.name]);
  return Object.values(named.getFields()).some(({ name, type: inner }) =>
    canNamePerson(inner, { name, input: named.name, nobody: slot.nobody, texts: slot.texts }, within),
  );
}

/** `segment`, `segments`; `id` of `segment(id)`. */
function namesNobody({ name, answered, input, nobody }: Slot): boolean {
  if (fieldsOfNobody.has(`${input}.${name}`)) return true;
  if (name === 'id') return answered !== undefined && nobody.has(answered);
  const singular = name.replace(/s$/, '');
  return nobody.has(singular.charAt(0).toUpperCase() + singular.slice(1));
}
