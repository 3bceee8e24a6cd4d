import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { graphql } from '../../generated/gql.ts';
import type { TagUsersInput } from '../../generated/graphql.ts';
import { useApp } from '../../support/app.ts';
import { getProfile } from '../../support/people.ts';
import { makeSavedUser } from '../../support/save-operations.ts';

const g = useApp({ role: 'gateway' });

const Tag = graphql(`
  mutation Tag($input: TagUsersInput!) {
    tagUsers(input: $input) {
      __typename
      ... on Error { code path }
      ... on TagUsersPayload { changedCount unknown }
    }
  }
`);

const Untag = graphql(`
  mutation Untag($input: UntagUsersInput!) {
    untagUsers(input: $input) {
      __typename
      ... on Error { code path }
      ... on UntagUsersPayload { changedCount unknown }
    }
  }
`);

const tagUsers = async (input: TagUsersInput) => (await g.server.run(Tag, { input })).tagUsers;
const untagUsers = async (input: TagUsersInput) => (await g.server.run(Untag, { input })).untagUsers;

const makeTagged = async (...tags: string[]) => {
  const user = { externalUserId: randomUUID() };
  await makeSavedUser(g.server, { user, userAttributes: { tags } });
  return user;
};

describe('U16: tags', () => {
  test('are added to many users at once, each once, and taken away again', async () => {
    const [ann, bob] = [await makeTagged('news'), await makeTagged()];
    const users = [ann, { externalUserId: 'nobody' }, bob, ann];
    expect(await tagUsers({ users, tags: ['offers', 'news'] })).toMatchObject({ changedCount: 2, unknown: [1] });
    expect(await tagUsers({ users: [ann], tags: ['news'] })).toMatchObject({ changedCount: 0 });
    for (const user of [ann, bob]) expect(await getProfile(g.server, user)).toMatchObject({ tags: ['news', 'offers'] });
    expect(await untagUsers({ users, tags: ['news', 'games'] })).toMatchObject({ changedCount: 2, unknown: [1] });
    for (const user of [ann, bob]) expect(await getProfile(g.server, user)).toMatchObject({ tags: ['offers'] });
  });

  test('that are given and taken at once are not lost', async () => {
    const user = await makeTagged('old');
    const names = Array.from({ length: 10 }, (_, index) => `tag-${index}`);
    await Promise.all([
      ...names.map((tag) => tagUsers({ users: [user], tags: [tag] })),
      untagUsers({ users: [user], tags: ['old'] }),
    ]);
    expect(await getProfile(g.server, user)).toMatchObject({ tags: names });
  });

  test.each([
    ['an empty tag', { tags: [''] }, 'ATTRIBUTE_INVALID', ['tags', '0']],
    ['too long a tag', { tags: ['a', 'b'.repeat(257)] }, 'ATTRIBUTE_INVALID', ['tags', '1']],
    [
      'too many users',
      { users: Array.from({ length: 1_001 }, () => ({ externalUserId: 'a' })) },
      'LIMIT_EXCEEDED',
      ['users'],
    ],
    ['an address that is none', { users: [{ email: 'ada' }] }, 'EMAIL_INVALID', ['users', '0', 'email']],
  ])('%s is refused', async (_, given, code, path) => {
    const user = await makeTagged();
    expect(await tagUsers({ users: [user], tags: ['new'], ...given })).toMatchObject({ code, path });
    expect(await getProfile(g.server, user)).toMatchObject({ tags: [] });
  });

  test('more than a user may have are refused for all', async () => {
    const [full, user] = [
      await makeTagged(...Array.from({ length: 1_000 }, (_, index) => `${index}`)),
      await makeTagged(),
    ];
    expect(await tagUsers({ users: [user, full], tags: ['new'] })).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(await getProfile(g.server, user)).toMatchObject({ tags: [] });
  });
});
