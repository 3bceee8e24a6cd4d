import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { newEmail, newPhone } from '../../support/addresses.ts';
import { useDoor } from '../../support/door.ts';
import { countRows, findProfile, getProfile } from '../../support/people.ts';
import { makeSavedUser, saveUsers } from '../../support/save-operations.ts';

const g = useDoor();

const merge = { create: true, mode: 'MERGE' } as const;

/** Saves, and answers what became of each. */
async function resultsOf(users: Parameters<typeof saveUsers>[1]['users'], idempotencyKey: string | null = null) {
  const result = await saveUsers(g.server, { users, idempotencyKey });
  if (result?.__typename !== 'SaveUsersPayload') throw new Error(`Refused: ${JSON.stringify(result)}`);
  return result.results;
}

describe('U9: saveUsers', () => {
  test('answers a result for each, in order, and what is refused keeps nothing else back', async () => {
    const [first, second, email] = [randomUUID(), randomUUID(), newEmail()];
    await makeSavedUser(g.server, { user: { email } });
    const results = await resultsOf([
      { ...merge, user: { externalUserId: first }, userAttributes: { firstName: 'One' } },
      { ...merge, user: { externalUserId: second }, phones: ['12'] },
      { ...merge, user: { externalUserId: second }, emails: [email] },
      { ...merge, user: { externalUserId: 'nobody' }, create: false },
      { ...merge, user: { email }, userAttributes: { firstName: 'Three' } },
    ]);
    expect(results).toEqual([
      { __typename: 'SaveUserPayload', created: true, user: expect.objectContaining({ firstName: 'One' }) },
      { __typename: 'PhoneInvalidError', code: 'PHONE_INVALID', path: ['users', '1', 'phones', '0'] },
      { __typename: 'UserMergeInterruptedError', code: 'USER_MERGE_INTERRUPTED', path: ['users', '2', 'emails'] },
      { __typename: 'NotFoundError', code: 'NOT_FOUND', path: ['users', '3', 'user'] },
      { __typename: 'SaveUserPayload', created: false, user: expect.objectContaining({ firstName: 'Three' }) },
    ]);
    expect(await findProfile(g.server, { externalUserId: second })).toBeNull();
  });

  test('each sees what those before it have done', async () => {
    const [externalUserId, email, phone] = [randomUUID(), newEmail(), newPhone()];
    const results = await resultsOf([
      { ...merge, user: { externalUserId }, emails: [email], phones: [phone], userAttributes: { lastName: 'A' } },
      { ...merge, user: { email }, userAttributes: { firstName: 'Ada' } },
      { ...merge, user: { phone }, phones: null },
      { ...merge, user: { phone } },
      { ...merge, user: { externalUserId: randomUUID() }, emails: [email] },
    ]);
    const [made, found, shortened, other, refused] = results;
    if (made?.__typename !== 'SaveUserPayload' || other?.__typename !== 'SaveUserPayload')
      throw new Error('Not saved.');
    expect(found).toMatchObject({ created: false, user: { id: made.user.id } });
    expect(shortened).toMatchObject({ created: false, user: { id: made.user.id } });
    expect(other).toMatchObject({ created: true });
    expect(refused).toMatchObject({ code: 'USER_MERGE_INTERRUPTED' });
    expect(await getProfile(g.server, { externalUserId })).toMatchObject({
      firstName: 'Ada',
      lastName: 'A',
      emails: [email],
      phones: [],
    });
    expect(await findProfile(g.server, { phone })).toMatchObject({ id: other.user.id });
  });

  test('a thousand take as many statements as ten', async () => {
    const save = async (count: number) => {
      const users = Array.from({ length: count }, () => ({
        ...merge,
        user: { externalUserId: randomUUID() },
        emails: [newEmail()],
        userAttributes: { firstName: 'Many' },
      }));
      g.takeStatements();
      const results = await resultsOf(users);
      expect(results.filter((result) => result.__typename === 'SaveUserPayload')).toHaveLength(count);
      await resultsOf(users.map((user) => ({ ...user, userAttributes: { firstName: 'Again' } })));
      // Who calls is remembered for a while.
      return g.takeStatements().filter((statement) => !statement.includes('api_keys')).length;
    };
    expect(await save(1_000)).toBe(await save(10));
  });

  test('more than a thousand are refused', async () => {
    const users = Array.from({ length: 1_001 }, () => ({ ...merge, user: { externalUserId: 'a' } }));
    expect(await saveUsers(g.server, { users })).toMatchObject({ code: 'LIMIT_EXCEEDED', path: ['users'] });
  });

  test('one key is for all: a repeat answers the same results, and a key inside is refused', async () => {
    const users = [
      { ...merge, user: { externalUserId: randomUUID() } },
      { ...merge, user: { email: 'nobody' } },
    ];
    const key = randomUUID();
    const first = await resultsOf(users, key);
    const before = await countRows(g);
    expect(await resultsOf(users, key)).toEqual(first);
    expect(await countRows(g)).toEqual(before);
    const keyed = users.map((user) => ({ ...user, idempotencyKey: 'a' }));
    expect(await saveUsers(g.server, { users: keyed })).toMatchObject({
      code: 'VALUE_INVALID',
      path: ['users', '0', 'idempotencyKey'],
    });
  });

  test('bulks that overlap and run at once make each user once', async () => {
    const names = Array.from({ length: 50 }, () => randomUUID());
    const bulks = await Promise.all(
      Array.from({ length: 6 }, (_, bulk) =>
        resultsOf(
          (bulk % 2 ? names : names.toReversed()).map((externalUserId) => ({
            ...merge,
            user: { externalUserId },
            emails: [`${externalUserId}@example.com`],
          })),
        ),
      ),
    );
    const saved = bulks.flat().flatMap((result) => (result.__typename === 'SaveUserPayload' ? [result] : []));
    expect([saved.length, saved.filter(({ created }) => created).length]).toEqual([300, 50]);
    expect(new Set(saved.map(({ user }) => user.id)).size).toBe(50);
  });
});
