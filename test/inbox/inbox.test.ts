import { describe, expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import type { MarkInboxReadInput } from '../generated/graphql.ts';
import { useApp } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import { eraseUser } from '../support/erase-operations.ts';
import { depersonalize, makeNotification, settledDeliveries } from '../support/operations.ts';
import { makeMerge, unmergeUsers } from '../support/people.ts';
import { localIdOf, makePerson, reportDelivery, toSend } from '../support/send-operations.ts';
import { type Subscriber, subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';

const Inbox = graphql(`
  query Inbox($first: Int, $after: String, $last: Int, $before: String) {
    viewer {
      inbox(first: $first, after: $after, last: $last, before: $before) {
        totalCount
        unreadCount
        pageInfo { hasNextPage hasPreviousPage endCursor startCursor }
        nodes { cursor readAt content { title body data } delivery { id status } }
      }
    }
  }
`);

const ExportUser = graphql(`
  query ExportInbox($user: UserRef!) { exportUser(user: $user) }
`);

const MarkRead = graphql(`
  mutation MarkInboxRead($input: MarkInboxReadInput!) {
    markInboxRead(input: $input) {
      __typename
      ... on Error { code path }
      ... on MarkInboxReadPayload { unreadCount }
    }
  }
`);

const g = useApp();

/** A user with an inbox, and the client of the user's installation. */
async function makeReader() {
  const user = await makePerson(g.server);
  return { ...user, client: g.app.as(user.installation.token) };
}

/** Puts messages into a user's inbox, one after another. Answers their deliveries' ids. */
async function put(userId: string, ...bodies: string[]): Promise<string[]> {
  const deliveries: string[] = [];
  for (const body of bodies) {
    const send = toSend({ users: [{ id: userId }] }, { channels: ['IN_APP'], content: { body } });
    const { deliveries: made } = await settledDeliveries(g.server, await makeNotification(g.server, send));
    deliveries.push(...made.nodes.map(({ id }) => id));
  }
  return deliveries;
}

async function readInbox(
  client: Client,
  page: { first?: number; after?: string; last?: number; before?: string } = {},
) {
  const inbox = (await client.run(Inbox, page)).viewer.inbox;
  if (!inbox) throw new Error('There is no inbox.');
  return { ...inbox, bodies: inbox.nodes.map(({ content }) => content.body) };
}

const markRead = async (client: Client, input: MarkInboxReadInput) =>
  (await client.run(MarkRead, { input })).markInboxRead;

describe('an inbox', () => {
  test('holds what was sent to the user, newest first, unread (rule M1)', async () => {
    const { id, client } = await makeReader();
    await put(id, 'one', 'two');
    expect(await readInbox(client)).toMatchObject({
      ...{ totalCount: 2, unreadCount: 2, bodies: ['two', 'one'] },
      nodes: [{ readAt: null, delivery: { status: 'SENT' } }, { readAt: null }],
    });
  });

  test('is read page by page in both directions', async () => {
    const { id, client } = await makeReader();
    await put(id, 'one', 'two', 'three');
    const first = await readInbox(client, { first: 2 });
    expect(first).toMatchObject({ bodies: ['three', 'two'], pageInfo: { hasNextPage: true } });
    const second = await readInbox(client, { first: 2, after: first.pageInfo.endCursor ?? '' });
    expect(second).toMatchObject({ bodies: ['one'], pageInfo: { hasNextPage: false } });
    const back = await readInbox(client, { last: 1, before: second.pageInfo.startCursor ?? '' });
    expect(back).toMatchObject({ bodies: ['two'], pageInfo: { hasPreviousPage: true } });
    expect((await readInbox(client, { last: 1 })).bodies).toEqual(['one']);
  });

  test('is nobody else’s: another user’s is empty, and other callers have none', async () => {
    const [ann, bob] = [await makeReader(), await makeReader()];
    await put(ann.id, 'for Ann');
    expect((await readInbox(bob.client)).totalCount).toBe(0);
    for (const client of [g.server, g.app]) expect((await client.run(Inbox, { first: 1 })).viewer.inbox).toBeNull();
  });

  test('does not stay with an installation that is depersonalized', async () => {
    const { id, client } = await makeReader();
    await put(id, 'private');
    await depersonalize(client);
    expect((await readInbox(client)).totalCount).toBe(0);
  });

  test('goes with a merge, and comes back with its undoing', async () => {
    const [ann, bob] = [await makeReader(), await makeReader()];
    await put(ann.id, 'for Ann');
    await put(bob.id, 'for Bob');
    const record = await makeMerge(g.server, { survivor: { id: ann.id }, merged: { id: bob.id }, allowAlias: true });
    expect(await readInbox(ann.client)).toMatchObject({ bodies: ['for Bob', 'for Ann'], unreadCount: 2 });
    expect(await readInbox(bob.client)).toMatchObject({ bodies: ['for Bob', 'for Ann'], unreadCount: 2 });
    await unmergeUsers(g.server, record);
    expect((await readInbox(ann.client)).bodies).toEqual(['for Ann']);
    expect((await readInbox(bob.client)).bodies).toEqual(['for Bob']);
  });

  test('is in the export, and goes with an erase (decision 10)', async () => {
    const { id } = await makeReader();
    const [delivery = ''] = await put(id, 'remember me');
    const { exportUser } = await g.server.run(ExportUser, { user: { id } });
    expect(exportUser).toMatchObject({ inbox: [{ id: localIdOf(delivery), content: { body: 'remember me' } }] });
    await eraseUser(g.server, { id });
    const { rows } = await g.pool.query('select from inbox_items where id = $1', [localIdOf(delivery)]);
    expect(rows).toEqual([]);
  });
});

describe('marking as read', () => {
  test('opens the deliveries, once, and keeps the time of what was read before', async () => {
    const { id, client } = await makeReader();
    const [one = '', two = ''] = await put(id, 'one', 'two', 'three');
    expect(await markRead(client, { deliveries: [one] })).toMatchObject({ unreadCount: 2 });
    const before = (await readInbox(client)).nodes.find(({ delivery }) => delivery.id === one);
    expect(await markRead(client, { deliveries: [one, two] })).toMatchObject({ unreadCount: 1 });
    const { nodes } = await readInbox(client);
    expect(nodes.map(({ delivery }) => delivery.status)).toEqual(['SENT', 'OPENED', 'OPENED']);
    expect(nodes.find(({ delivery }) => delivery.id === one)).toEqual(before);
    const events = await g.pool.query(`select status from delivery_events where delivery_id = $1 order by position`, [
      localIdOf(one),
    ]);
    expect(events.rows.map(({ status }) => status)).toEqual(['QUEUED', 'SENT', 'OPENED']);
  });

  test('takes all at once', async () => {
    const { id, client } = await makeReader();
    await put(id, 'one', 'two');
    expect(await markRead(client, { all: true })).toMatchObject({ unreadCount: 0 });
    expect((await readInbox(client)).nodes.map(({ delivery }) => delivery.status)).toEqual(['OPENED', 'OPENED']);
  });

  test('of what is clicked comes with the report', async () => {
    const { id, client } = await makeReader();
    const [delivery = ''] = await put(id, 'click');
    expect(await reportDelivery(client, { delivery, status: 'CLICKED' })).toMatchObject({
      delivery: { status: 'CLICKED' },
    });
    expect(await readInbox(client)).toMatchObject({ unreadCount: 0 });
    expect(await markRead(client, { all: true })).toMatchObject({ unreadCount: 0 });
    expect((await readInbox(client)).nodes).toMatchObject([{ delivery: { status: 'CLICKED' } }]);
  });

  test('of what was read before its send is recorded proves that it was sent', async () => {
    const { id, client } = await makeReader();
    const [delivery = ''] = await put(id, 'quick');
    // As if the worker had died between the item and its own record.
    await g.pool.query(
      `update deliveries set status = 'SENDING', claim_token = gen_random_uuid(), claim_expires_at = now() + interval '1 hour'
       where id = $1`,
      [localIdOf(delivery)],
    );
    await markRead(client, { all: true });
    expect((await readInbox(client)).nodes).toMatchObject([{ delivery: { status: 'OPENED' } }]);
  });

  test('refuses what is not in this inbox, and marks nothing then', async () => {
    const [ann, bob] = [await makeReader(), await makeReader()];
    const [hers = ''] = await put(ann.id, 'for Ann');
    const [his = ''] = await put(bob.id, 'for Bob');
    const refused = { __typename: 'NotFoundError', code: 'NOT_FOUND', path: ['deliveries', '1'] };
    expect(await markRead(bob.client, { deliveries: [his, hers] })).toEqual(refused);
    expect(await readInbox(bob.client)).toMatchObject({ unreadCount: 1 });
    expect(await reportDelivery(bob.client, { delivery: hers, status: 'OPENED' })).toMatchObject({ code: 'NOT_FOUND' });
  });

  test.each([
    ['nothing', {}, 'VALUE_INVALID'],
    ['both ways at once', { all: true, deliveries: ['RGVsaXZlcnk6MQ=='] }, 'VALUE_INVALID'],
    ['too many', { deliveries: Array.from({ length: 101 }, () => crypto.randomUUID()) }, 'LIMIT_EXCEEDED'],
  ])('refuses %s', async (_, input, code) => {
    const { client } = await makeReader();
    expect(await markRead(client, input)).toMatchObject({ code, path: ['deliveries'] });
  });
});

describe('who follows the inbox', () => {
  const query = `subscription ($after: String) {
    inbox(after: $after) {
      __typename
      ... on InboxItem { cursor readAt content { body } }
      ... on StreamPosition { cursor state }
    }
  }`;

  async function next(subscriber: Subscriber) {
    const answer = await subscriber.next();
    if (answer?.errors) return { word: answer.errors[0]?.extensions.code, cursor: '' };
    const { inbox } = Object(answer?.data);
    return { word: inbox.state ?? `${inbox.content.body}${inbox.readAt ? ' read' : ''}`, cursor: inbox.cursor };
  }

  test.each([
    ['WebSocket', subscribeByWebSocket],
    ['SSE', subscribeBySse],
  ])('by %s is told what comes and what is read, of this user only, and goes on after a cursor', async (_, subscribe) => {
    const [ann, bob] = [await makeReader(), await makeReader()];
    const follow = (after?: string) =>
      subscribe(g.url, { query, variables: { after }, secret: ann.installation.token });
    const subscriber = await follow();
    const live = await next(subscriber);
    expect(live.word).toBe('LIVE');
    await put(bob.id, 'not hers');
    await put(ann.id, 'one');
    const one = await next(subscriber);
    expect(one.word).toBe('one');
    await markRead(ann.client, { all: true });
    expect((await next(subscriber)).word).toBe('one read');
    subscriber.close();
    await put(ann.id, 'two');
    const again = await follow(one.cursor);
    // An item is told as it is now.
    expect([await next(again), await next(again), await next(again)].map(({ word }) => word)).toEqual([
      'one read',
      'two',
      'RECOVERED',
    ]);
    again.close();
    const [, oldest] = (await readInbox(ann.client)).nodes;
    const fromList = await follow(oldest?.cursor);
    expect([await next(fromList), await next(fromList), await next(fromList)].map(({ word }) => word)).toEqual([
      'one read',
      'two',
      'RECOVERED',
    ]);
    fromList.close();
  });

  test('is told nothing more once the installation is somebody else’s', async () => {
    const ann = await makeReader();
    const subscriber = await subscribeByWebSocket(g.url, { query, secret: ann.installation.token });
    expect((await next(subscriber)).word).toBe('LIVE');
    await depersonalize(ann.client);
    await put(ann.id, 'not here');
    expect((await next(subscriber)).word).toBe('FORBIDDEN');
    subscriber.close();
  });

  test('of a merged user goes on with the survivor’s', async () => {
    const [ann, bob] = [await makeReader(), await makeReader()];
    const subscriber = await subscribeByWebSocket(g.url, { query, secret: bob.installation.token });
    expect((await next(subscriber)).word).toBe('LIVE');
    await makeMerge(g.server, { survivor: { id: ann.id }, merged: { id: bob.id }, allowAlias: true });
    await put(ann.id, 'for both');
    expect((await next(subscriber)).word).toBe('for both');
    subscriber.close();
  });
});
