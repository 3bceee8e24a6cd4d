import { type GraphQLNamedType, type GraphQLObjectType, type GraphQLSchema, getNamedType, isObjectType } from 'graphql';

/**
 * Values without an identity of their own: whoever may see the object that they are a part of may see them. Nothing else
 * than such an object, and a field that says itself who may, answers one.
 */
const embeddedTypes: ReadonlySet<string> = new Set([
  'DeliveryEvent',
  'LabelCase',
  'NotificationButton',
  'NotificationContent',
  'NotificationEvent',
  'NotificationProgress',
  'NotificationReached',
  'NotificationTarget',
  'NotificationVariation',
  'NotificationWarning',
  'SmsSegments',
  'StreamPosition',
  'TopicPreference',
  'UserReference',
]);

/**
 * Refuses a schema in which anything is open because nobody said who may see it: each root field, and each type of an
 * object, says so in its `authScopes`.
 *
 * @throws Error naming the first field or type that does not.
 */
export function denyByDefault(schema: GraphQLSchema): GraphQLSchema {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].filter(
    (root) => !!root,
  );
  for (const root of roots) {
    for (const field of Object.values(root.getFields())) {
      if (!saysWhoMay(field)) throw new Error(`${root.name}.${field.name} does not say who may: it has no authScopes.`);
    }
  }
  const wrappers = listWrappers(schema);
  for (const type of Object.values(schema.getTypeMap())) {
    const isChecked = isObjectType(type) && !type.name.startsWith('__') && !roots.includes(type) && !wrappers.has(type);
    if (isChecked && !embeddedTypes.has(type.name) && !saysWhoMay(type)) {
      throw new Error(`${type.name} does not say who may see it: it has no authScopes.`);
    }
  }
  return schema;
}

/** What Pothos keeps of a field's or a type's options. */
function saysWhoMay({ extensions }: Pick<GraphQLObjectType, 'extensions'>): boolean {
  const options: unknown = extensions.pothosOptions;
  if (typeof options !== 'object' || options === null || !('authScopes' in options)) return false;
  const { authScopes } = options;
  return typeof authScopes === 'function' || Object.keys(Object(authScopes)).length > 0;
}

/** What holds objects and is none: payloads and refusals of mutations, connections, their edges and their places. */
function listWrappers(schema: GraphQLSchema): Set<GraphQLNamedType> {
  const mutations = Object.keys(schema.getMutationType()?.getFields() ?? {});
  const payloads = new Set(mutations.map((name) => `${name.charAt(0).toUpperCase()}${name.slice(1)}Payload`));
  const objects = Object.values(schema.getTypeMap()).filter(isObjectType);
  const isRefusal = (type: GraphQLObjectType) => type.getInterfaces().some(({ name }) => name === 'Error');
  const held = objects.filter((type) => payloads.has(type.name) || isRefusal(type));
  return new Set([...held, ...objects.flatMap(listConnectionTypes)]);
}

/** A connection with its edge and its place; of any other type: none. */
function listConnectionTypes(type: GraphQLObjectType): GraphQLNamedType[] {
  const { edges, pageInfo } = type.getFields();
  return edges && pageInfo ? [type, getNamedType(edges.type), getNamedType(pageInfo.type)] : [];
}
