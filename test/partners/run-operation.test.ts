import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { schema } from '../../src/graphql/schema.ts';
import { documentIdOf } from '../../src/operations/prepare-operation.ts';
import { registerAppOperations } from '../../src/partners/register-operations.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { graphql } from '../generated/gql.ts';
import { testRules } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { createTestLog, insertDeliveries, insertNotification } from '../support/log-events.ts';
import {
  codeOf,
  makePartnerKey,
  makePartnerOperation,
  registerPartnerOperations,
  ways,
} from '../support/partner-operations.ts';
import { makePerson } from '../support/people.ts';
import { request } from '../support/request.ts';
import { globalIdOf } from '../support/send-operations.ts';
import { connectSocket } from '../support/socket.ts';
import { until } from '../support/until.ts';

const g = useDoor();
const everyWay = Object.entries(ways);

let partner: string;
let secret: string;
let stranger: string;
beforeAll(async () => {
  stranger = await makePartnerKey(g.server, 'stranger');
});
beforeEach(async () => {
  partner = `partner-${randomUUID()}`;
  secret = await makePartnerKey(g.server, partner);
});

const Segments = 'query Segments { users(first: 1) { totalCount } }';
const OneSegment =
  'query OneSegment($id: ID!, $size: Int) { segment(id: $id) { name members(first: $size) { totalCount } } }';
const to = () => ({ url: g.url, secret });

describe.each(everyWay)('by %s', (_, run) => {
  test('a partner runs what is registered for it', async () => {
    const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
    expect(await run(to(), { documentId })).toMatchObject({ data: { users: { totalCount: expect.any(Number) } } });
  });

  test('no text of its own is run, valid or not', async () => {
    await makePartnerOperation(g.server, partner, { document: Segments });
    for (const query of ['{ __typename }', 'query Segments { users(first: 2) { totalCount } }', '{ nonsense', '{']) {
      expect(codeOf(await run(to(), { query }))).toBe('OPERATION_NOT_ALLOWED');
    }
  });

  test('what is registered for another partner is not run', async () => {
    const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
    expect(codeOf(await run({ url: g.url, secret: stranger }, { documentId }))).toBe('OPERATION_NOT_ALLOWED');
  });

  test('a pinned variable keeps its value, and an undeclared one is refused', async () => {
    const { id } = await g.db.segment.create({ data: { id: randomUUID(), name: randomUUID() } });
    const pinnedVariables = { id: globalIdOf('Segment', id) };
    const documentId = await makePartnerOperation(g.server, partner, { document: OneSegment, pinnedVariables });

    expect(await run(to(), { documentId, variables: { size: 5 } })).toMatchObject({
      data: { segment: { members: { totalCount: 0 } } },
    });
    for (const variables of [pinnedVariables, { id: null }, { extra: 1 }, { toString: 1 }]) {
      expect(codeOf(await run(to(), { documentId, variables }))).toBe('BAD_USER_INPUT');
    }
  });

  test('only the operation that it has is run', async () => {
    const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
    expect(await run(to(), { documentId, operationName: 'Segments' })).toMatchObject({ data: { users: {} } });
    expect(codeOf(await run(to(), { documentId, operationName: 'Other' }))).toBe('BAD_USER_INPUT');
  });
});

describe.each(everyWay.filter(([name]) => name !== 'the hash of Apollo'))('by %s', (_, run) => {
  test.each([
    ['in capitals', (id: string) => id.toUpperCase()],
    ['without its prefix', (id: string) => id.replace('sha256:', '')],
    ['of a property of every object', () => '__proto__'],
    ['of a method of every object', () => 'constructor'],
    ['that is empty', () => ''],
    ['with the character NUL', () => 'sha256:\0'],
    ['of a document that nobody registered', () => documentIdOf(randomUUID())],
  ])('an id %s names no operation', async (__, change) => {
    const documentId = change(await makePartnerOperation(g.server, partner, { document: Segments }));
    expect(codeOf(await run(to(), { documentId }))).toMatch(/^(OPERATION_NOT_ALLOWED|BAD_USER_INPUT)$/);
  });

  test('a text beside the hash of another is refused', async () => {
    const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
    const answer = await run(to(), { documentId, query: '{ users(first: 9) { totalCount } }' });
    expect(codeOf(answer)).toMatch(/^(OPERATION_NOT_ALLOWED|BAD_USER_INPUT)$/);
  });
});

test('a registered text beside its own hash is run, as Apollo clients send it', async () => {
  const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
  expect(await ways['the hash of Apollo'](to(), { documentId, query: Segments })).toMatchObject({ data: {} });
  const unknown = createHash('sha256').update('{ __typename }').digest('hex');
  const answer = await ways['the hash of Apollo'](to(), { documentId: `sha256:${unknown}`, query: '{ __typename }' });
  expect(answer.errors).toMatchObject([{ message: 'PersistedQueryNotFound' }]);
});

test('several operations in one body are none', async () => {
  const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
  const body = JSON.stringify([{ documentId }, { documentId }]);
  const answer = await request(`${g.url}/graphql`, { headers: { authorization: `Bearer ${secret}` }, body });
  expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
});

test('a granted mutation is run by POST, and not by GET', async () => {
  const document = 'mutation Make($name: String!) { createSegment(input: { name: $name }) { __typename } }';
  const documentId = await makePartnerOperation(g.server, partner, { document, grantMutations: true });
  const asked = { documentId, variables: { name: randomUUID() } };
  expect(codeOf(await ways.GET(to(), asked))).toBe('BAD_USER_INPUT');
  expect(await ways.POST(to(), asked)).toMatchObject({
    data: { createSegment: { __typename: 'CreateSegmentPayload' } },
  });
});

test('an operation that another process has removed is run nowhere within a second', async () => {
  const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
  expect(codeOf(await ways.POST(to(), { documentId }))).toBeNull();
  const begun = performance.now();
  await g.db.registeredOperation.deleteMany({ where: { partner } });
  await until(async () => codeOf(await ways.POST(to(), { documentId })) === 'OPERATION_NOT_ALLOWED');
  expect(performance.now() - begun).toBeLessThan(1_000);
  for (const [, run] of everyWay) expect(codeOf(await run(to(), { documentId }))).toBe('OPERATION_NOT_ALLOWED');
});

const replacements = [
  ['removed', async () => registerPartnerOperations(g.server, { partner, operations: [], replaceAll: true })],
  [
    'registered with other pins',
    async () => makePartnerOperation(g.server, partner, { document: Followed, pinnedVariables: { user: null } }),
  ],
] as const;
const Followed = 'subscription Followed($user: UserRef) { deliveryEvents(user: $user) { __typename } }';

test.each(replacements)('an open stream ends within a second when its operation is %s', async (_, replace) => {
  const { id } = await makePerson(g);
  const pinnedVariables = { user: { id } };
  const documentId = await makePartnerOperation(g.server, partner, { document: Followed, pinnedVariables });
  const socket = await connectSocket(g.url, secret);
  socket.send({ id: '1', type: 'subscribe', payload: { documentId } });
  expect(await socket.next()).toMatchObject({ payload: { data: { deliveryEvents: {} } } });

  const begun = performance.now();
  await replace();
  expect(JSON.stringify(await socket.next())).toContain('FORBIDDEN');
  expect(performance.now() - begun).toBeLessThan(1_000);
  socket.close();
});

test('a stream goes on when its operation is registered again as it was', async () => {
  const document = 'subscription All { deliveryEvents { ... on DeliveryEvent { status } } }';
  const documentId = await makePartnerOperation(g.server, partner, { document });
  const socket = await connectSocket(g.url, secret);
  socket.send({ id: '1', type: 'subscribe', payload: { documentId } });
  await socket.next();
  await makePartnerOperation(g.server, partner, { document });
  await insertDeliveries(g.pool, { notificationId: await insertNotification(g.pool) });
  expect(await socket.next()).toMatchObject({ payload: { data: { deliveryEvents: { status: 'QUEUED' } } } });
  socket.close();
});

const UpdateApp = graphql(`
  mutation LimitToOperations($app: ID!, $isLimited: Boolean!) {
    updateApp(input: { app: $app, isLimitedToOperations: $isLimited }) { __typename }
  }
`);

test("clients of an app that is limited to operations run its own, and no partner's", async () => {
  const app = await g.db.app.findFirstOrThrow();
  const { token } = await makePerson(g);
  const document = '{ viewer { kind } }';
  const cipher = createCipher(randomBytes(32));
  const deployment = { db: g.db, bus: g.bus, cipher, log: createTestLog().log, rules: testRules, publicUrl: null };
  const registered = { principal: 'operator', appId: app.id, operations: [{ document }] };
  expect(await registerAppOperations(deployment, schema, registered)).toMatchObject({ removedCount: 0 });
  const limit = (isLimited: boolean) => g.server.run(UpdateApp, { app: globalIdOf('App', app.id), isLimited });

  await limit(true);
  for (const [, run] of everyWay) {
    const client = { url: g.url, secret: token };
    expect(await run(client, { documentId: documentIdOf(document) })).toMatchObject({ data: { viewer: {} } });
    expect(codeOf(await run(client, { query: '{ viewer { kind } } ' }))).toBe('OPERATION_NOT_ALLOWED');
  }
  const documentId = await makePartnerOperation(g.server, partner, { document: Segments });
  expect(codeOf(await ways.POST({ url: g.url, secret: token }, { documentId }))).toBe('OPERATION_NOT_ALLOWED');
  await limit(false);
  await until(
    async () => codeOf(await ways.POST({ url: g.url, secret: token }, { query: '{ viewer { kind } }' })) === null,
  );
});
