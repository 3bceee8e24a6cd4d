import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { newEmail } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { makeInstallation, personalize } from '../support/operations.ts';
import { getProfile } from '../support/people.ts';

const g = useApp();

const makeInstallations = (count: number) => Promise.all(Array.from({ length: count }, () => makeInstallation(g.app)));

test.each([1, 2, 3])('50 installations that personalize the same new id at once become one user (%i)', async () => {
  const installations = await makeInstallations(50);
  const userIdentity = { externalUserId: randomUUID(), emails: [newEmail()] };
  const results = await Promise.all(
    installations.map(({ id }) => personalize(g.server, { installation: id, userIdentity })),
  );
  const userIds = results.map((result) => (result?.__typename === 'PersonalizePayload' ? result.user.id : result));
  expect(new Set(userIds).size).toBe(1);
  const profile = await getProfile(g.server, { externalUserId: userIdentity.externalUserId });
  expect(profile).toMatchObject({ id: userIds[0], type: 'CUSTOMER', emails: userIdentity.emails });
  expect(profile.installations).toEqual(installations.map(({ pushRegistrationId }) => pushRegistrationId).sort());
});

test('new identities that overlap, given at once, end as one user, or are told to be ambiguous', async () => {
  const installations = await makeInstallations(20);
  const [externalUserId, email] = [randomUUID(), newEmail()];
  const identities = [{ externalUserId }, { emails: [email] }, { externalUserId, emails: [email] }];
  const results = await Promise.all(
    installations.map(({ id }, index) =>
      personalize(g.server, { installation: id, userIdentity: identities[index % 3] ?? {} }),
    ),
  );
  for (const result of results) {
    expect(['PersonalizePayload', 'AmbiguousPersonalizeCandidatesError']).toContain(result?.__typename);
  }
  const { rows } = await g.pool.query(
    'select count(distinct user_id)::int as holders, count(*)::int as identifiers from identifiers where value = any($1)',
    [[externalUserId, email]],
  );
  const isAmbiguous = results.some((result) => result?.__typename === 'AmbiguousPersonalizeCandidatesError');
  expect(rows).toEqual([{ holders: isAmbiguous ? 2 : 1, identifiers: 2 }]);
});

test('an installation that two persons claim at once is one’s; the other is told', async () => {
  const { id } = await makeInstallation(g.app);
  const results = await Promise.all(
    Array.from({ length: 10 }, (_, person) =>
      personalize(g.server, { installation: id, userIdentity: { externalUserId: `claimant-${person}` } }),
    ),
  );
  const kinds = results.map((result) => result?.__typename).sort();
  expect(kinds).toEqual([...Array(9).fill('PersonalizationImpossibleError'), 'PersonalizePayload']);
});
