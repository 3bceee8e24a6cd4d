import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import { useDoor } from '../support/door.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makeOwners, type Owner, toGlobalId } from '../support/owners.ts';
import { type Asked, codeOf, makePartnerKey, makePartnerOperation, ways } from '../support/partner-operations.ts';
import { localIdOf, makeSegment } from '../support/send-operations.ts';
import { connectSocket } from '../support/socket.ts';

const g = useDoor();

let ann: Owner;
let bob: Owner;
let otherApp: string;
let secret: string;
/** Of Ann alone. */
let segment: string;
beforeAll(async () => {
  ({ ann, bob, otherApp } = await makeOwners(g));
  secret = await makePartnerKey(g.server, 'acme');
  segment = await makeSegment(g.server, [ann.references.id]);
});

const register = (document: string, scope: { app?: string; segment?: string } = { segment }) =>
  makePartnerOperation(g.server, 'acme', { document, scope });
const ask = (asked: Asked) => ways.POST({ url: g.url, secret }, asked);

const People = `query People($ref: UserRef!) {
  user(ref: $ref) {
    id externalUserId
    installations { totalCount nodes { id user { id } } }
    recipients { totalCount nodes { id user { id } } }
  }
}`;

const absent: Record<keyof Owner['references'], string> = {
  id: toGlobalId('User', randomUUID()),
  externalUserId: randomUUID(),
  email: 'nobody@example.com',
  phone: '+385991234567',
  pushRegistrationId: randomUUID(),
};
const referenceKinds = ['id', 'externalUserId', 'email', 'phone', 'pushRegistrationId'] as const;

test('a dynamic segment is a scope like a static one', async () => {
  const tag = randomUUID();
  await g.pool.query(sql`update users set tags = ${[tag]}::text[] where id = ${localIdOf(ann.references.id)}::uuid`);
  const dynamic = newId();
  await g.pool.query(sql`
    insert into segments (id, name, filter) values (${dynamic}::uuid, ${dynamic}, ${JSON.stringify({ tag })}::jsonb)`);
  const documentId = await register(`# Another text.\n${People}`, { segment: dynamic });
  const find = (id: string) => ask({ documentId, variables: { ref: { id } } });
  expect(await find(ann.references.id)).toMatchObject({ data: { user: { id: ann.references.id } } });
  expect((await find(bob.references.id)).data).toEqual({ user: null });
  await g.pool.query(sql`update users set tags = '{}' where id = ${localIdOf(ann.references.id)}::uuid`);
  expect((await find(ann.references.id)).data).toEqual({ user: null });
});

describe('an operation with a segment as its scope', () => {
  test.each(referenceKinds)('sees a member by %s, and anybody else as if there were nobody', async (kind) => {
    const documentId = await register(People);
    const find = (reference: string) => ask({ documentId, variables: { ref: { [kind]: reference } } });

    expect(await find(ann.references[kind])).toMatchObject({
      data: { user: { id: ann.references.id, installations: { totalCount: expect.any(Number) } } },
    });
    expect((await find(bob.references[kind])).data).toEqual({ user: null });
    expect(await find(bob.references[kind])).toEqual(await find(absent[kind]));
  });

  test.each([
    ['node', 'query Any($id: ID!) { it: node(id: $id) { __typename id } }'],
    ['nodes', 'query Any($id: ID!) { it: nodes(ids: [$id]) { __typename id } }'],
    [
      'installation',
      'query Any($id: ID!) { it: installation(id: $id) { id user { id installations { totalCount } } } }',
    ],
    ['delivery', 'query Any($id: ID!) { it: delivery(id: $id) { id user { id recipients { totalCount } } } }'],
  ])("finds by %s what is a member's, and nothing of anybody else", async (field, document) => {
    const documentId = await register(document);
    const find = (id: string) => ask({ documentId, variables: { id } });
    const types: Record<string, string[]> = { installation: ['Installation'], delivery: ['Delivery'] };
    const ofPeople = [
      'User',
      'Installation',
      'Delivery',
      'PushRecipient',
      'EmailRecipient',
      'SmsRecipient',
      'InAppRecipient',
    ];
    for (const type of types[field] ?? ofPeople) {
      expect(JSON.stringify(await find(ann.ids[type] ?? '')), type).toContain(ann.ids[type]);
      expect(await find(bob.ids[type] ?? ''), type).toEqual(await find(toGlobalId(type, randomUUID())));
    }
  });

  test("sees nothing that is nobody's in particular", async () => {
    const documentId = await register('query Any($id: ID!) { node(id: $id) { __typename } }');
    for (const type of ['Segment', 'Notification', 'MergeRecord', 'ApiKey']) {
      expect((await ask({ documentId, variables: { id: ann.ids[type] } })).data, type).toEqual({ node: null });
    }
  });

  test('follows a member only, by SSE and by WebSocket', async () => {
    const documentId = await register(
      'subscription Follow($user: UserRef!) { deliveryEvents(user: $user) { ... on StreamPosition { state } } }',
    );
    for (const run of [ways.SSE, ways.WebSocket]) {
      const follow = (id: string) => run({ url: g.url, secret }, { documentId, variables: { user: { id } } });
      expect(await follow(ann.references.id)).toMatchObject({ data: { deliveryEvents: { state: 'LIVE' } } });
      const refused = await follow(bob.references.id);
      expect(refused.errors).toHaveLength(1);
      expect(refused).toEqual(await follow(absent.id));
    }
  });

  test('is told nothing more of a member who has left the segment, on a stream that is open', async () => {
    const shortLived = await makeSegment(g.server, [bob.references.id]);
    const document =
      'subscription Follow($user: UserRef!) { deliveryEvents(user: $user) { ... on DeliveryEvent { status } } }';
    const documentId = await register(document, { segment: shortLived });
    const socket = await connectSocket(g.url, secret);
    const variables = { user: { id: bob.references.id } };
    socket.send({ id: '1', type: 'subscribe', payload: { documentId, variables } });
    await socket.next();
    const deliver = async () =>
      insertDeliveries(g.pool, {
        notificationId: await insertNotification(g.pool),
        userId: localIdOf(bob.references.id),
      });
    await deliver();
    expect(await socket.next()).toMatchObject({ payload: { data: { deliveryEvents: { status: 'QUEUED' } } } });
    await g.db.segmentMember.deleteMany({ where: { segmentId: localIdOf(shortLived) } });
    await deliver();
    const told = JSON.stringify(await socket.next());
    expect(told).toContain('FORBIDDEN');
    expect(told).not.toContain('QUEUED');
    socket.close();
  });

  test('does not see a member any more who has left the segment', async () => {
    const shortLived = await makeSegment(g.server, [bob.references.id]);
    const documentId = await register(People, { segment: shortLived });
    const find = async () => (await ask({ documentId, variables: { ref: { id: bob.references.id } } })).data;
    expect(await find()).toMatchObject({ user: { id: bob.references.id } });
    await g.db.segmentMember.deleteMany({ where: { segmentId: localIdOf(shortLived) } });
    expect(await find()).toEqual({ user: null });
  });
});

test('an operation with an app as its scope sees those who have an installation of it', async () => {
  const find = async (app: string) => {
    const documentId = await register(People, { app });
    return (await ask({ documentId, variables: { ref: { id: ann.references.id } } })).data;
  };
  expect(await find(ann.ids.App ?? '')).toMatchObject({ user: { id: ann.references.id } });
  expect(await find(otherApp)).toEqual({ user: null });
});

test('an operation with both sees those who are of the app and in the segment', async () => {
  const documentId = await register(People, { app: otherApp, segment });
  const answer = await ask({ documentId, variables: { ref: { id: ann.references.id } } });
  expect([codeOf(answer), answer.data]).toEqual([null, { user: null }]);
});
