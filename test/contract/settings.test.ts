import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { listSettings } from '../../src/settings.ts';

test('the table of settings in the README is what the program reads', async () => {
  const readme = await readFile('README.md', 'utf8');
  const [, settings = ''] = readme.split(/^## Settings$/m);
  const [section = ''] = settings.split(/^## /m);
  const [head, , ...rows] = section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map(toCells);

  expect(head).toEqual(['Variable', 'Meaning', 'Default']);
  const expected = listSettings().map((setting) => [`\`${setting.name}\``, setting.meaning, setting.default]);
  expect(rows).toEqual(expected);
});

function toCells(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}
