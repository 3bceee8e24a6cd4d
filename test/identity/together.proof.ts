import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { personalizeTogether } from '../support/fifty-installations.ts';
import { useGatewayProcesses } from '../support/gateway-processes.ts';
import { findMistake, graphs } from '../support/identity-graphs.ts';

const g = useGatewayProcesses();

// A machine that has other things to do took ten.
vi.setConfig({ testTimeout: 1_200_000 });

test('50 installations that personalize one new id at once, through two gateways, are one user with all of them: 100 rounds (decision 7)', async ({
  annotate,
}) => {
  const startedAt = performance.now();
  for (let round = 0; round < 100; round += 1) {
    const { results, expected, profile } = await personalizeTogether(g);
    expect(results.map((result) => result?.__typename)).toEqual(Array(50).fill('PersonalizePayload'));
    expect(profile).toMatchObject(expected);
  }
  await annotate(`${Math.round(performance.now() - startedAt) / 1_000} seconds, and no error.`);
});

test('whatever is merged, personalized, logged out and undone at once, through two gateways, ends as in some order of it: 200 graphs (decisions 3 to 5)', async ({
  annotate,
}) => {
  const told = new Map<string, number>();
  const count = (answer: string) => told.set(answer, (told.get(answer) ?? 0) + 1);
  const property = fc.asyncProperty(graphs, async (graph) => {
    expect(await findMistake(g, graph, count)).toBeNull();
  });
  await fc.assert(property, { seed: 2026, numRuns: 200, endOnFailure: true });
  await annotate([...told].map(([answer, times]) => `${answer}: ${times}`).join(', '));
});
