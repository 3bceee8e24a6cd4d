import { type GraphQLError, getIntrospectionQuery } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { prepareDocument } from '../../src/operations/prepare-operation.ts';
import { bombs, repeat } from '../support/documents.ts';

const prepare = (text: string, isSchemaHidden = false) => prepareDocument(text, schema, isSchemaHidden);

/** What is wrong with a document; empty: nothing. */
function mistakesOf(text: string, isSchemaHidden = false): readonly GraphQLError[] {
  const prepared = prepare(text, isSchemaHidden);
  return 'errors' in prepared ? prepared.errors : [];
}

/** Whether it has once in five times taken less CPU time than so many milliseconds: others use this machine too. */
function isFasterThan(milliseconds: number, act: () => unknown): boolean {
  for (let count = 0; count < 5; count += 1) {
    const before = process.cpuUsage();
    act();
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1_000 < milliseconds) return true;
  }
  return false;
}

test.each(Object.entries(bombs))('a document of %s is refused as too costly, at once', (_, text) => {
  expect(mistakesOf(text)).toMatchObject([{ extensions: { code: 'OPERATION_TOO_COSTLY' } }]);
  expect(isFasterThan(50, () => prepare(text))).toBe(true);
});

test.each([
  ['one fragment', '{ ...A } fragment A on Query { ...A }'],
  ['two fragments', '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }'],
  [
    'fragments below fields',
    '{ viewer { ...A } } fragment A on Viewer { user { installations { nodes { user { ...B } } } } } fragment B on User { installations { nodes { user { ...B } } } }',
  ],
  ['fragments that nobody spreads', '{ __typename } fragment A on Query { ...B } fragment B on Query { ...A ...B }'],
])('a cycle of %s is refused', (_, text) => {
  const messages = mistakesOf(text).map(({ message }) => message);
  expect(messages.join()).toMatch(/Cannot spread fragment "\w+" within itself/);
});

describe('just within the limits are', () => {
  test.each([
    [
      'a full introspection',
      getIntrospectionQuery({
        descriptions: true,
        specifiedByUrl: true,
        directiveIsRepeatable: true,
        schemaDescription: true,
        inputValueDeprecation: true,
        oneOf: true,
      }),
    ],
    ['300 fields', `{ ${repeat(10, (index) => `a${index}: viewer { ${repeat(29, () => 'kind')} }`)} }`],
    ['500 fields', `{ ${repeat(500, () => '__typename')} }`],
    [
      '448 fields by 7 spreads of 64',
      `{ ${repeat(7, () => '...A')} } fragment A on Query { ${repeat(64, () => '__typename')} }`,
    ],
    ['50 aliases', `{ ${repeat(50, (index) => `a${index}: __typename`)} }`],
    ['50 directives', `{ ${repeat(50, () => '__typename @skip(if: false)')} }`],
    [
      'fields 16 levels deep',
      `{ users { nodes { ${repeat(4, () => 'installations { nodes { user {')} id ${repeat(4, () => '} } }')} } } }`,
    ],
  ])('%s', (_, text) => {
    expect(mistakesOf(text)).toEqual([]);
  });
});

/** Within all limits, and as much work for validation as can be found. */
const dearest: Readonly<Record<string, string>> = {
  'the same field, 490 times': `{ viewer { ${repeat(490, () => 'kind')} } }`,
  'the same object, 249 times': `{ ${repeat(249, () => 'viewer { kind }')} }`,
  'the same objects in the same objects': `{ ${repeat(20, () => `viewer { ${repeat(12, () => 'app { id }')} }`)} }`,
  'the same field with arguments, 245 times': `{ ${repeat(245, () => 'users(first: 1, after: "a", before: "b") { totalCount }')} }`,
  'the same field with a long list': `{ ${repeat(150, () => `nodes(ids: [${repeat(20, () => '"a"')}]) { id }`)} }`,
  '245 fragments': `{ ${repeat(245, (index) => `...F${index}`)} } ${repeat(245, (index) => `fragment F${index} on Query { __typename }`)}`,
  '120 fragments with objects': `{ ${repeat(120, (index) => `...F${index}`)} }
    ${repeat(120, (index) => `fragment F${index} on Query { viewer { kind } }`)}`,
  '4 fragments that nobody spreads': `{ __typename } ${repeat(4, (index) => {
    return `fragment F${index} on Query { ${repeat(123, () => '__typename')} }`;
  })}`,
  '249 operations': repeat(249, (index) => `query Q${index} { __typename }`),
  '150 operations with a variable': `${repeat(150, (index) => `query Q${index}($a: ID!) { ...F }`)}
    fragment F on Query { node(id: $a) { id } }`,
  '600 variables': `query (${repeat(600, (index) => `$v${index}: ID!`)}) { nodes(ids: [${repeat(600, (index) => `$v${index}`)}]) { id } }`,
  'a list of 980 inputs': `mutation { addToSegment(input: { segment: "a", users: [${repeat(980, () => '{ id: "a" }')}] }) { __typename } }`,
  '1,600 arguments that there are not': `{ users(${repeat(1_600, (index) => `f${index}: 1`)}) { totalCount } }`,
  '490 fields that there are not': `{ ${repeat(490, (index) => `u${index}`)} }`,
  '260,000 characters of comments': `{ __typename } ${'#\n'.repeat(130_000)}`,
};

test.each(Object.entries(dearest))('%s take less than 100 ms to validate', (_, text) => {
  const [mistake] = mistakesOf(text);
  expect(mistake?.extensions.code).toBeUndefined();
  expect(mistake?.message).not.toBe('Validation aborted.');
  expect(isFasterThan(100, () => prepare(text, true))).toBe(true);
});
