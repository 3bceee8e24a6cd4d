import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

test('the environment is read in one place', async () => {
  const inSource = await readdir('src', { recursive: true });
  const names = [...inSource.map((name) => `src/${name}`), ...(await readdir('.')), '.config/prisma.ts'];
  const files = names.filter((name) => name.endsWith('.ts') && !name.startsWith('src/generated/'));
  const readers: string[] = [];
  for (const file of files) {
    const source = await readFile(file, 'utf8');
    if (/process\s*(\??\.|\[\s*['"`])\s*env\b|import\.meta\.env|['"](node:)?process['"]|\bloadEnvFile\b/.test(source))
      readers.push(file);
  }
  // Prisma's own tool runs before there is a program.
  expect(readers.sort()).toEqual(['.config/prisma.ts', 'src/config.ts']);
});
