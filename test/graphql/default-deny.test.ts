import { GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql';
import { expect, test } from 'vitest';
import { denyByDefault } from '../../src/graphql/default-deny.ts';
import { schema } from '../../src/graphql/schema.ts';

const said = { pothosOptions: { authScopes: { administer: true } } };

/** A schema with one query, `secrets`, of a type `Secret`. */
function schemaOf({ ofField, ofType }: { ofField: object; ofType: object }): GraphQLSchema {
  const secret = new GraphQLObjectType({
    name: 'Secret',
    fields: { text: { type: GraphQLString } },
    extensions: { ...ofType },
  });
  const fields = { secrets: { type: secret, extensions: { ...ofField } } };
  return new GraphQLSchema({ query: new GraphQLObjectType({ name: 'Query', fields }) });
}

test('what says who may see it is built', () => {
  expect(() => denyByDefault(schemaOf({ ofField: said, ofType: said }))).not.toThrow();
});

test.each([
  {},
  { pothosOptions: {} },
  { pothosOptions: { authScopes: {} } },
  { pothosOptions: { authScopes: undefined } },
])('a root field that does not say who may is not built: %j', (ofField) => {
  expect(() => denyByDefault(schemaOf({ ofField, ofType: said }))).toThrow('Query.secrets does not say who may');
});

test('a type that does not say who may see it is not built', () => {
  expect(() => denyByDefault(schemaOf({ ofField: said, ofType: {} }))).toThrow('Secret does not say who may see it');
});

test.each(['query', 'mutation', 'subscription'] as const)('no root field of a %s is let through', (operation) => {
  const config = schema.toConfig();
  const root = config[operation];
  if (!root) throw new Error('There is such a type.');
  const open = new GraphQLObjectType({
    name: root.name,
    fields: { ...root.toConfig().fields, open: { type: GraphQLString } },
  });
  const types = config.types.filter((type) => type !== root);
  expect(() => denyByDefault(new GraphQLSchema({ ...config, types, [operation]: open }))).toThrow(
    `${root.name}.open does not say who may`,
  );
});
