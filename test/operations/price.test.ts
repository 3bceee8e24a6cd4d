import { validateExecutionArgs } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { prepareDocument } from '../../src/operations/prepare-operation.ts';

/** What the only operation of a document costs with these variables. */
function priceOf(text: string, variableValues: Record<string, unknown> = {}): number {
  const operation = prepareOnly(text);
  const args = validateExecutionArgs({ schema, document: operation.document, variableValues });
  if (!('schema' in args)) throw new Error(`Refused: ${JSON.stringify(args)}`);
  return operation.price(args.variableValues.coerced);
}

/** What an answer to it has cost. */
const costOf = (text: string, data: unknown): number => prepareOnly(text).countObjects(data);

function prepareOnly(text: string) {
  const prepared = prepareDocument(text, schema, false);
  if ('errors' in prepared) throw new Error(`Refused: ${JSON.stringify(prepared.errors)}`);
  const [operation] = prepared.operations;
  if (!operation) throw new Error('It has no operation.');
  return { ...operation, document: prepared.document };
}

const nodesById = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }';
const page = 'query ($size: Int = 7) { users(first: $size) { nodes { id } } }';
const conditions = `query ($with: Boolean = false, $without: Boolean!) {
  viewer @include(if: $with) { kind }
  node(id: "a") @skip(if: $without) { id }
  ... @include(if: $with) @skip(if: $without) { app { id } }
}`;

describe('an operation costs as many points as its answer can hold objects:', () => {
  test.each<[string, number, string, Record<string, unknown>?]>([
    ['a value is none', 0, '{ __typename }'],
    ['one object', 1, '{ viewer { kind } }'],
    ['objects in objects', 3, '{ viewer { kind installation { id user { id } } } }'],
    ['a page of 20 where it does not say', 1 + 20, '{ users { nodes { id } } }'],
    [
      'a page with its edges, their nodes, and what it says of itself',
      1 + 5 + 10 + 1,
      '{ users(last: 5) { nodes { id } edges { node { id } } pageInfo { hasNextPage } totalCount } }',
    ],
    [
      'pages in pages',
      1 + 10 * (1 + 1 + 5),
      '{ users(first: 10) { nodes { installations(first: 5) { nodes { id } } } } }',
    ],
    ['a total without a page', 1, '{ users(first: 100) { totalCount } }'],
    ['ids that are written', 3, '{ nodes(ids: ["a", "b", "c"]) { id } }'],
    ['ids in a variable', 4, nodesById, { ids: ['a', 'b', 'c', 'd'] }],
    ['one id in a variable that takes a list', 1, nodesById, { ids: 'a' }],
    ['no ids', 0, nodesById, { ids: [] }],
    [
      'ids, some of them in variables',
      2 * 2,
      'query ($id: ID!) { nodes(ids: [$id, "b"]) { ... on Installation { user { id } } } }',
      { id: 'a' },
    ],
    ['a size by a variable’s default', 1 + 7, page],
    ['a size by a variable', 1 + 100, page, { size: 100 }],
    ['a size by a variable that is null', 1 + 20, page, { size: null }],
    ['what is left out by a directive is none', 0, conditions, { without: true }],
    ['what is let in by a directive', 1 + 1 + 1, conditions, { with: true, without: false }],
    [
      'of several types that an object can have, the dearest',
      1 + 1 + (1 + 3),
      `{ node(id: "a") {
      ... on Delivery { notification { id } }
      ... on User { installations(first: 3) { nodes { id } } recipients { totalCount } }
      ... on Installation { user { id } }
    } }`,
    ],
    [
      'what is the same for all types, beside the dearest',
      1 + 1 + 2,
      `{ node(id: "a") { ... on Recipient {
        user { id } ... on PushRecipient { installation { id user { id } } } ... on EmailRecipient { email }
      } } }`,
    ],
    [
      'a fragment at each place where it is spread',
      3 * 2,
      '{ a: viewer { ...V } b: viewer { ...V } c: viewer { ...V } } fragment V on Viewer { app { id } }',
    ],
    [
      'a fragment of a page, with that page’s size',
      1 + 3 + 1 + 9,
      '{ a: users(first: 3) { ...P } b: users(first: 9) { ...P } } fragment P on QueryUsersConnection { nodes { id } }',
    ],
    ['the same object twice', 2, '{ viewer { kind } viewer { kind } }'],
    ['a list that its field bounds', 1 + 1 + 1_000, '{ notification(id: "a") { target { users { by } } } }'],
    ['a list of which nothing is known', 1 + 10, '{ delivery(id: "a") { events { status } } }'],
    ['the schema', 100, '{ __schema { types { name fields { name } } } }'],
    [
      'the schema in a fragment, and a type',
      200,
      '{ ...F t: __type(name: "User") { name } } fragment F on Query { s: __schema { types { name } } }',
    ],
    ['a mutation, and its payload', 10 + 1, 'mutation { depersonalize(input: {}) { __typename } }'],
    [
      'mutations in fragments',
      2 * 11,
      'mutation { ...A ... { b: depersonalize(input: {}) { __typename } } } fragment A on Mutation { depersonalize(input: {}) { __typename } }',
    ],
    [
      'a mutation’s payload, at its dearest',
      10 + 1 + 2,
      'mutation { depersonalize(input: {}) { ... on Error { code } ... on DepersonalizePayload { installation { id user { id } } } } }',
    ],
    [
      'a subscription, and one event of it',
      10 + 1 + 1,
      'subscription { deliveryEvents { ... on DeliveryEvent { delivery { id } } ... on StreamPosition { state } } }',
    ],
  ])('%s', (_, price, text, variables) => {
    expect(priceOf(text, variables)).toBe(price);
  });
});

test.each([
  ['0', {}],
  ['101', {}],
  ['-1', {}],
  ['$size', { size: 0 }],
  ['$size', { size: 2_147_483_647 }],
])('a page of %s (%o) has no price: it is refused', (size, variables) => {
  const text = `query ($size: Int) { a: users(first: $size) { totalCount } users(last: ${size}) { nodes { id } } }`;
  expect(() => priceOf(text, { ...variables })).toThrow('A page has 1 to 100 entries.');
});

describe('an answer has cost as many points as it holds objects:', () => {
  test.each<[string, number, string, unknown]>([
    ['its objects, not the answer itself', 2, '{ viewer { app { id } } }', { viewer: { app: { id: '1' } } }],
    [
      'what was looked for and is not there, too',
      3,
      '{ nodes(ids: ["a", "b", "c"]) { id } }',
      { nodes: [{ id: 'a' }, null, { id: 'c' }] },
    ],
    [
      'a value is none, also when it is JSON',
      1,
      '{ notification(id: "a") { id status } }',
      { notification: { id: { a: [{}, { b: {} }] } } },
    ],
    ['a list of lists of values is none', 0, '{ __typename }', { __typename: 'Query' }],
    [
      'aliases by their own name',
      2,
      '{ a: viewer { kind } b: viewer { kind } }',
      { a: { kind: 'APP' }, b: { kind: 'APP' } },
    ],
    [
      'what is selected twice and answered once, once',
      2,
      '{ viewer { kind } ...F } fragment F on Query { viewer { app { id } } }',
      { viewer: { kind: 'APP', app: { id: '1' } } },
    ],
    ['the schema', 100, '{ s: __schema { types { name } } }', { s: { types: [{ name: 'A' }, { name: 'B' }] } }],
    ['nothing', 0, '{ viewer { kind } }', null],
    [
      'each field of a mutation that was done, also in a fragment',
      2 * 10 + 2,
      'mutation { ...F } fragment F on Mutation { a: depersonalize(input: {}) { __typename } depersonalize(input: {}) { __typename } __typename }',
      { a: { __typename: 'X' }, depersonalize: null, __typename: 'Mutation' },
    ],
    ['a mutation whose answer an error took away', 10, 'mutation { depersonalize(input: {}) { __typename } }', null],
  ])('%s', (_, cost, text, data) => {
    expect(costOf(text, data)).toBe(cost);
  });
});
