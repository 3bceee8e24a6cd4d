import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { documentIdOf } from '../../src/operations/prepare-operation.ts';
import type { PartnerOperationInput } from '../generated/graphql.ts';
import { useDoor } from '../support/door.ts';
import { makePartnerKey, registerPartnerOperations } from '../support/partner-operations.ts';
import { globalIdOf } from '../support/send-operations.ts';

const g = useDoor();

let partner: string;
beforeEach(() => {
  partner = `partner-${randomUUID()}`;
});

let app: string;
let segment: string;
beforeAll(async () => {
  app = globalIdOf('App', (await g.db.app.findFirstOrThrow()).id);
  segment = globalIdOf('Segment', (await g.db.segment.create({ data: { id: randomUUID(), name: 'a' } })).id);
});

const register = (operations: PartnerOperationInput[], rest: { grantMutations?: boolean; replaceAll?: boolean } = {}) =>
  registerPartnerOperations(g.server, { partner, operations, ...rest });
const registeredIds = async () =>
  (await g.db.registeredOperation.findMany({ where: { partner } })).map(({ documentId }) => documentId).sort();

const Users = 'query Users($size: Int!) { users(first: $size) { nodes { id } } }';
const OneUser = 'query OneUser($ref: UserRef!) { user(ref: $ref) { id } }';
const Tag = 'mutation Make($name: String!) { createSegment(input: { name: $name }) { __typename } }';

describe('what is registered', () => {
  test('is told with its id, its name and what it costs with full pages', async () => {
    const made = await register([{ document: Users }, { document: '{ users { totalCount } }' }]);
    expect(made).toMatchObject({
      operations: [
        { id: documentIdOf(Users), documentId: documentIdOf(Users), name: 'Users', partner, cost: 101, scope: null },
        { name: 'users', pinnedVariables: {}, isMutationGranted: false },
      ],
    });
  });

  test('is told to server keys, a page at a time', async () => {
    await register([{ document: Users }, { document: '{ users { totalCount } }' }]);
    const { body } = await g.server.send(
      'query ($partner: String!) { partnerOperations(partner: $partner, first: 1) { totalCount nodes { name } pageInfo { hasNextPage } } }',
      { partner },
    );
    expect(body.data).toEqual({
      partnerOperations: { totalCount: 2, nodes: [{ name: 'Users' }], pageInfo: { hasNextPage: true } },
    });
  });

  test('gets the pins, the scope and the grant of the last time, and stays one', async () => {
    const pinnedVariables = { ref: { externalUserId: 'ann' } };
    await register([{ document: OneUser, pinnedVariables }], { grantMutations: true });
    expect(await register([{ document: OneUser, scope: { app, segment } }])).toMatchObject({
      operations: [
        { pinnedVariables: {}, isMutationGranted: false, scope: { app: { id: app }, segment: { id: segment } } },
      ],
    });
    expect(await registeredIds()).toEqual([documentIdOf(OneUser)]);
  });

  test('is all of a list or nothing of it', async () => {
    await register([{ document: '{ users { totalCount } }' }, { document: '{ nonsense }' }]);
    expect(await registeredIds()).toEqual([]);
  });

  test('is what the list says, with replaceAll', async () => {
    await register([{ document: Users }, { document: '{ users { totalCount } }' }]);
    const replaced = await register([{ document: Users }, { document: '{ apps { totalCount } }' }], {
      replaceAll: true,
    });
    expect(replaced).toMatchObject({ removedCount: 1 });
    expect(await registeredIds()).toEqual([Users, '{ apps { totalCount } }'].map(documentIdOf).sort());
  });

  test('is written once by a repeat with the same idempotency key', async () => {
    const input = { partner, operations: [{ document: Users }], idempotencyKey: randomUUID() };
    const first = await registerPartnerOperations(g.server, input);
    await registerPartnerOperations(g.server, { partner, operations: [{ document: OneUser, scope: { app } }] });
    expect(await registerPartnerOperations(g.server, input)).toEqual(first);
    expect(await g.db.registeredOperation.count({ where: { partner } })).toBe(2);
  });

  test('is at most 1,000 of one partner, also by two who register at once', async () => {
    const rows = Array.from({ length: 999 }, (_, index) => ({
      ...{ id: randomUUID(), partner, name: 'a', document: '{ a }', cost: 1 },
      documentId: documentIdOf(String(index)),
    }));
    await g.db.registeredOperation.createMany({ data: rows });
    const both = await Promise.all([
      register([{ document: Users }]),
      register([{ document: '{ apps { totalCount } }' }]),
    ]);
    expect(both.map((answer) => answer?.__typename).sort()).toEqual([
      'LimitExceededError',
      'RegisterPartnerOperationsPayload',
    ]);
  });
});

const refused = (code: string, path: string[], message = '') =>
  expect.objectContaining({ code, path, message: expect.stringContaining(message) });

describe('nothing is registered', () => {
  test.each([
    ['that is no document', { document: '{' }, 'document', 'Syntax Error'],
    ['that the schema does not know', { document: '{ userz { totalCount } }' }, 'document', 'Did you mean'],
    [
      'with two operations',
      { document: 'query A { apps { totalCount } } query B { apps { totalCount } }' },
      'document',
      'exactly one',
    ],
    ['without an operation', { document: 'fragment F on User { id }' }, 'document', ''],
    ['under the id of another', { id: documentIdOf('{ a }'), document: Users }, 'id', documentIdOf(Users)],
    ['under an id in capitals', { id: documentIdOf(Users).toUpperCase(), document: Users }, 'id', documentIdOf(Users)],
    ['that changes something, without a grant', { document: Tag }, 'document', 'grantMutations'],
    ['that is for server keys', { document: '{ apiKeys { totalCount } }' }, 'document', 'apiKeys is not for partners'],
    ['that asks for the schema', { document: '{ __schema { queryType { name } } }' }, 'document', 'schema'],
    [
      'that asks for the schema by a fragment',
      { document: '{ ...F } fragment F on Query { __type(name: "User") { name } }' },
      'document',
      'schema',
    ],
    [
      'with a pin that it does not declare',
      { document: Users, pinnedVariables: { sizes: 1 } },
      'pinnedVariables',
      'sizes',
    ],
    ['with a pin of another type', { document: Users, pinnedVariables: { size: 'a' } }, 'pinnedVariables', '$size'],
    [
      'with a pin that cannot be null',
      { document: Users, pinnedVariables: { size: null } },
      'pinnedVariables',
      '$size',
    ],
    ['with a page that cannot be', { document: Users, pinnedVariables: { size: 101 } }, 'document', '1 to 100'],
    ['with a scope of nothing', { document: Users, scope: {} }, 'scope', 'an app, a segment or both'],
  ])('%s', async (_, operation, field, message) => {
    const answer = await register([{ document: '{ apps { totalCount } }' }, operation]);
    expect(answer).toEqual(refused('VALUE_INVALID', ['operations', '1', field], message));
    expect(await registeredIds()).toEqual([]);
  });

  test('with a scope, that reads everybody, also by a fragment', async () => {
    for (const document of ['{ users { totalCount } }', '{ ...F } fragment F on Query { deliveries { totalCount } }']) {
      const answer = await register([{ document, scope: { segment } }]);
      expect(answer).toEqual(refused('VALUE_INVALID', ['operations', '0', 'document'], 'has a scope'));
    }
  });

  test('twice in one list', async () => {
    const answer = await register([{ document: Users }, { document: Users }]);
    expect(answer).toEqual(refused('VALUE_INVALID', ['operations', '1', 'document'], 'twice'));
  });

  test('with a scope that there is not', async () => {
    const missing = [{ segment: globalIdOf('Segment', randomUUID()) }, { app: globalIdOf('App', randomUUID()) }];
    for (const scope of missing) {
      const [field = ''] = Object.keys(scope);
      const answer = await register([{ document: OneUser, scope }]);
      expect(answer).toEqual(refused('NOT_FOUND', ['operations', '0', 'scope', field]));
    }
  });

  test('that costs more than a partner may spend at once', async () => {
    const document =
      'query Dear($size: Int) { users(first: $size) { nodes { recipients(first: $size) { nodes { user { recipients(first: 10) { nodes { id } } } } } } } }';
    const answer = await register([{ document }]);
    expect(answer).toEqual(refused('LIMIT_EXCEEDED', ['operations', '0', 'document'], 'points'));
    expect(await register([{ document, pinnedVariables: { size: 10 } }])).toMatchObject({ operations: [{}] });
  });

  test('of more than 100 at once', async () => {
    const operations = Array.from({ length: 101 }, (_, index) => ({
      document: `query A${index} { apps { totalCount } }`,
    }));
    expect(await register(operations)).toEqual(refused('LIMIT_EXCEEDED', ['operations']));
  });

  test('for a partner whose name cannot be', async () => {
    for (const name of ['', 'a b', 'a'.repeat(101), 'a\n']) {
      const answer = await registerPartnerOperations(g.server, { partner: name, operations: [] });
      expect(answer).toEqual(refused('VALUE_INVALID', ['partner']));
    }
  });

  test('by anybody without a server key', async () => {
    const secret = await makePartnerKey(g.server, partner);
    const text = `mutation { registerPartnerOperations(input: { partner: "${partner}", operations: [] }) { __typename } }`;
    for (const client of [g.app, g.nobody, g.server.as(secret)]) {
      expect((await client.send(text)).body.errors).toHaveLength(1);
    }
  });
});

test('a segment that is a scope cannot be deleted from under its operations', async () => {
  const { id } = await g.db.segment.create({ data: { id: randomUUID(), name: randomUUID() } });
  await register([{ document: OneUser, scope: { segment: globalIdOf('Segment', id) } }]);
  await expect(g.db.segment.delete({ where: { id } })).rejects.toThrow();
});
