import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newEmail } from '../support/addresses.ts';
import { personalizeTogether } from '../support/fifty-installations.ts';
import { useGatewayProcesses } from '../support/gateway-processes.ts';
import { findMistake, graphs } from '../support/identity-graphs.ts';
import { makeInstallation, personalize } from '../support/operations.ts';

// The long form is together.proof.ts.
const g = useGatewayProcesses();

test.each([
  1, 2,
])('50 installations that personalize one new id at once, through two gateways, are one user (decision 7, %i)', async () => {
  const { results, expected, profile } = await personalizeTogether(g);
  expect(results.map((result) => result?.__typename)).toEqual(Array(50).fill('PersonalizePayload'));
  expect(profile).toMatchObject(expected);
});

test('whatever is merged, personalized, logged out and undone at once, through two gateways, ends as in some order of it (decisions 3 to 5)', async () => {
  const property = fc.asyncProperty(graphs, async (graph) => {
    expect(await findMistake(g, graph)).toBeNull();
  });
  await fc.assert(property, { seed: 5, numRuns: 12, endOnFailure: true });
});

test('new identities that overlap, given at once, end as one user, or are told to be ambiguous', async () => {
  const installations = await Promise.all(Array.from({ length: 20 }, (_, turn) => makeInstallation(g.server(turn))));
  const [externalUserId, email] = [randomUUID(), newEmail()];
  const identities = [{ externalUserId }, { emails: [email] }, { externalUserId, emails: [email] }];
  const results = await Promise.all(
    installations.map(({ id }, index) =>
      personalize(g.server(index), { installation: id, userIdentity: identities[index % 3] ?? {} }),
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
  const { id } = await makeInstallation(g.server());
  const results = await Promise.all(
    Array.from({ length: 10 }, (_, person) =>
      personalize(g.server(person), { installation: id, userIdentity: { externalUserId: `claimant-${person}` } }),
    ),
  );
  const kinds = results.map((result) => result?.__typename).sort();
  expect(kinds).toEqual([...Array(9).fill('PersonalizationImpossibleError'), 'PersonalizePayload']);
});
