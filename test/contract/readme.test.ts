import { access, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

test('every file and folder that the README names is there', async () => {
  const readme = await readFile('README.md', 'utf8');
  const named = [...readme.matchAll(/`((?:src|test|prisma)\/[\w./-]+)`/g)].map(([, path = '']) => path);
  expect(named.length).toBeGreaterThan(5);
  for (const path of named) await expect(access(path), path).resolves.toBeUndefined();
});
