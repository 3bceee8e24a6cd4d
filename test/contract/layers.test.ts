import { readdir } from 'node:fs/promises';
import { cruise, type IForbiddenRuleType } from 'dependency-cruiser';
import { expect, test } from 'vitest';
import { cruiseOptions, forbiddenImports } from '../support/layer-rules.ts';

async function examine(forbidden: IForbiddenRuleType[]) {
  const { output } = await cruise(['src'], { ...cruiseOptions, validate: true, ruleSet: { forbidden } });
  if (typeof output === 'string') throw new Error('A report came instead of the findings.');
  return output;
}

test('a file imports from its own row or below, in no cycle, and nothing that the program is not shipped with', async () => {
  const { modules, summary } = await examine(forbiddenImports);

  const names = await readdir('src', { recursive: true });
  const files = names.filter((name) => name.endsWith('.ts')).map((name) => `src/${name}`);
  const seen = new Set(modules.map(({ source }) => source));
  expect(files.filter((file) => !seen.has(file))).toEqual([]);
  expect(summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`)).toEqual([]);
});

test('imports of types count for the layers', async () => {
  const { summary } = await examine([
    { name: 'type', severity: 'error', from: { path: '^src/storage/write' }, to: { path: '^src/deployment' } },
  ]);
  expect(summary.violations).toHaveLength(1);
});
