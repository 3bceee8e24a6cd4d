import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import type { UserRef } from '../generated/graphql.ts';
import { newEmail } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { makeInstallation, personalize } from '../support/operations.ts';
import { makePerson, mergeUsers } from '../support/people.ts';

const g = useApp();

const CreateSegment = graphql(`
  mutation CreateSegment($input: CreateSegmentInput!) {
    createSegment(input: $input) {
      __typename
      ... on Error { code message path }
      ... on CreateSegmentPayload { segment { id name description kind memberCount } }
    }
  }
`);
const AddToSegment = graphql(`
  mutation AddToSegment($segment: ID!, $users: [UserRef!]!) {
    addToSegment(input: { segment: $segment, users: $users }) {
      __typename
      ... on Error { code message path }
      ... on AddToSegmentPayload { changedCount unknown segment { id memberCount } }
    }
  }
`);
const RemoveFromSegment = graphql(`
  mutation RemoveFromSegment($segment: ID!, $users: [UserRef!]!) {
    removeFromSegment(input: { segment: $segment, users: $users }) {
      __typename
      ... on Error { code message path }
      ... on RemoveFromSegmentPayload { changedCount unknown segment { id memberCount } }
    }
  }
`);
const SegmentPage = graphql(`
  query SegmentPage($id: ID!, $first: Int, $after: String) {
    segment(id: $id) {
      name
      memberCount
      members(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage endCursor } }
    }
  }
`);
const SegmentsOfUser = graphql(
  `query SegmentsOfUser($ref: UserRef!) { user(ref: $ref) { segments { nodes { id } } } }`,
);

const createSegment = async (input: { name: string; description?: string }) =>
  (await g.server.run(CreateSegment, { input })).createSegment;

async function makeSegment(name = randomUUID()): Promise<string> {
  const result = await createSegment({ name });
  if (result?.__typename !== 'CreateSegmentPayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result.segment.id;
}

const add = async (segment: string, users: UserRef[]) =>
  (await g.server.run(AddToSegment, { segment, users })).addToSegment;
const remove = async (segment: string, users: UserRef[]) =>
  (await g.server.run(RemoveFromSegment, { segment, users })).removeFromSegment;

/** Ids of all members, read in pages of two. */
async function listMembers(id: string): Promise<string[]> {
  const ids: string[] = [];
  for (let after: string | null = null; ; ) {
    const page: { nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } | undefined =
      (await g.server.run(SegmentPage, { id, first: 2, after })).segment?.members;
    ids.push(...(page?.nodes ?? []).map((node) => node.id));
    if (!page?.pageInfo.hasNextPage) return ids;
    after = page.pageInfo.endCursor;
  }
}

const makePeople = (count: number) => Promise.all(Array.from({ length: count }, () => makePerson(g)));

test('a segment is made empty, its name trimmed and normalized', async () => {
  const name = `  Cafe\u0301 ${randomUUID()} `;
  expect(await createSegment({ name, description: 'Who drinks' })).toMatchObject({
    segment: { name: name.normalize('NFC').trim(), description: 'Who drinks', kind: 'STATIC', memberCount: 0 },
  });
});

test('a name is given once, also when asked for by several at once', async () => {
  const name = randomUUID();
  const results = await Promise.all([name, ` ${name}`, `${name} `].map((spelled) => createSegment({ name: spelled })));
  const kinds = results.map((result) => result?.__typename).sort();
  expect(kinds).toEqual(['CreateSegmentPayload', 'NameTakenError', 'NameTakenError']);
  expect(await createSegment({ name })).toMatchObject({ code: 'NAME_TAKEN', path: ['name'] });
});

test.each([
  [{ name: ' \t' }, ['name']],
  [{ name: 'x'.repeat(257) }, ['name']],
  [{ name: 'fine', description: 'x'.repeat(4097) }, ['description']],
])('a bad name or description is VALUE_INVALID: %j', async (input, path) => {
  expect(await createSegment(input)).toMatchObject({ code: 'VALUE_INVALID', path });
});

test('users are put in and taken out by any of their names, and who is unknown is told by place', async () => {
  const segment = await makeSegment();
  const email = newEmail();
  const [ann, bob] = [await makePerson(g, { emails: [email] }), await makePerson(g)];
  const users = [
    { externalUserId: randomUUID() },
    { email },
    { id: ann.id },
    { pushRegistrationId: bob.installation.pushRegistrationId },
    { pushRegistrationId: randomUUID() },
  ];
  expect(await add(segment, users)).toMatchObject({ changedCount: 2, unknown: [0, 4], segment: { memberCount: 2 } });
  expect((await listMembers(segment)).sort()).toEqual([ann.id, bob.id].sort());
  expect(await remove(segment, users.slice(0, 3))).toMatchObject({
    changedCount: 1,
    unknown: [0],
    segment: { memberCount: 1 },
  });
  expect(await listMembers(segment)).toEqual([bob.id]);
});

test('to put in who is in, or take out who is not, changes nothing', async () => {
  const segment = await makeSegment();
  const { id } = await makePerson(g);
  await add(segment, [{ id }]);
  expect(await add(segment, [{ id }, { id }])).toMatchObject({ changedCount: 0, segment: { memberCount: 1 } });
  await remove(segment, [{ id }]);
  expect(await remove(segment, [{ id }])).toMatchObject({ changedCount: 0, segment: { memberCount: 0 } });
});

test('members come in pages, each once, oldest profile first', async () => {
  const segment = await makeSegment();
  const people = await makePeople(5);
  await add(
    segment,
    people.map(({ id }) => ({ id })),
  );
  const { segment: page } = await g.server.run(SegmentPage, { id: segment, first: 2 });
  expect(page).toMatchObject({ memberCount: 5, members: { totalCount: 5 } });
  const members = await listMembers(segment);
  expect(members.toSorted()).toEqual(people.map(({ id }) => id).toSorted());
  const decoded = members.map((id) => Buffer.from(id, 'base64').toString());
  expect(decoded).toEqual(decoded.toSorted());
});

test('more than 10,000 users a call are LIMIT_EXCEEDED, and 10,000 are not', async () => {
  const segment = await makeSegment();
  const users = Array.from({ length: 10_000 }, (_, index) => ({ externalUserId: `nobody-${index}` }));
  const result = await add(segment, users);
  expect(result).toMatchObject({ changedCount: 0 });
  expect(result?.__typename === 'AddToSegmentPayload' && result.unknown).toHaveLength(10_000);
  expect(await add(segment, [...users, { externalUserId: 'one more' }])).toMatchObject({
    code: 'LIMIT_EXCEEDED',
    path: ['users'],
  });
});

test('a reference that cannot be one is refused with its path, and nobody is put in', async () => {
  const segment = await makeSegment();
  const { id } = await makePerson(g);
  expect(await add(segment, [{ id }, { email: 'no address' }])).toMatchObject({
    code: 'EMAIL_INVALID',
    path: ['users', '1', 'email'],
  });
  expect(await listMembers(segment)).toEqual([]);
});

test.each([
  randomUUID(),
  'nonsense',
  Buffer.from(`User:${randomUUID()}`).toString('base64'),
])('a segment that is none is NOT_FOUND: %s', async (segment) => {
  expect(await add(segment, [])).toMatchObject({ code: 'NOT_FOUND', path: ['segment'] });
  expect((await g.server.run(SegmentPage, { id: segment })).segment).toBeNull();
});

test('a merge moves memberships to the survivor, each once', async () => {
  const [both, only] = [await makeSegment(), await makeSegment()];
  const [survivor, merged] = [await makePerson(g), await makePerson(g)];
  await add(both, [{ id: survivor.id }, { id: merged.id }]);
  await add(only, [{ id: merged.id }]);
  await mergeUsers(g.server, { survivor: { id: survivor.id }, merged: { id: merged.id }, allowAlias: true });
  expect(await listMembers(both)).toEqual([survivor.id]);
  expect(await listMembers(only)).toEqual([survivor.id]);
  const { user } = await g.server.run(SegmentsOfUser, { ref: { id: merged.id } });
  expect(user?.segments?.nodes.map(({ id }) => id)).toEqual([both, only]);
  expect(await remove(only, [{ id: merged.id }])).toMatchObject({ changedCount: 1 });
});

test('an absorbed lead takes its memberships along', async () => {
  const segment = await makeSegment();
  const [person, lead] = [await makePerson(g), await makeInstallation(g.app)];
  await add(segment, [{ id: lead.user.id }]);
  await personalize(g.server, { installation: lead.id, userIdentity: { externalUserId: person.externalUserId } });
  expect(await listMembers(segment)).toEqual([person.id]);
});

test('users who are merged while they are put in leave no merged user as a member, and nobody out', async () => {
  const segment = await makeSegment();
  const people = await makePeople(24);
  const pairs = people.slice(0, 12).flatMap(({ id }, index) => {
    const merged = people[index + 12];
    return merged ? [{ survivor: { id }, merged: { id: merged.id }, allowAlias: true }] : [];
  });
  const results = await Promise.all(
    pairs.flatMap((pair) => [
      add(
        segment,
        pairs.map(({ merged }) => merged),
      ),
      mergeUsers(g.server, pair),
      add(segment, [pair.survivor, pair.merged]),
    ]),
  );
  expect(new Set(results.map((result) => result?.__typename))).toEqual(
    new Set(['AddToSegmentPayload', 'MergeUsersPayload']),
  );
  expect((await listMembers(segment)).toSorted()).toEqual(pairs.map(({ survivor }) => survivor.id).toSorted());
});
