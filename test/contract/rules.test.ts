import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { errorCodes } from '../../src/errors.ts';
import { DeliveryReason } from '../../src/generated/prisma/enums.ts';

const files = (await readdir('test', { recursive: true })).filter(
  (name) => /\.(test|proof)\.ts$/.test(name) && !name.startsWith('contract/'),
);
const sources = await Promise.all(files.map((name) => readFile(`test/${name}`, 'utf8')));

/** What tests and their groups are called. */
const names = sources
  .flatMap((source) => [...source.matchAll(/\b(?:test|describe)(?:\.each\([^`]*?\n\s*\])?\(\s*(['"`])(.*?)\1/gs)])
  .map(([, , name]) => name ?? '');

const upTo = (prefix: string, last: number) => Array.from({ length: last }, (_, index) => `${prefix}${index + 1}`);

test.each([...upTo('U', 17), ...upTo('I', 3), ...upTo('M', 9)])('rule %s is shown by a test that says so', (rule) => {
  expect(names.filter((name) => new RegExp(`\\b${rule}\\b`).test(name))).not.toEqual([]);
});

test.each(upTo('', 11))('decision %s on identity is shown by a test that says so', (decision) => {
  const pattern = new RegExp(`\\bdecisions? (?:\\d+(?:, | and ))*${decision}\\b`, 'i');
  expect(names.filter((name) => pattern.test(name))).not.toEqual([]);
});

test.each(Object.keys(errorCodes))('%s is what some test is told', (code) => {
  const typeName = `${code.replace(/(?:^|_)([A-Z])([A-Z]*)/g, (_, first, rest) => first + rest.toLowerCase())}Error`;
  expect(sources.some((source) => source.includes(code) || source.includes(typeName))).toBe(true);
});

test.each(Object.values(DeliveryReason))('%s is why some delivery of a test ends', (reason) => {
  expect(sources.some((source) => new RegExp(`\\b${reason}\\b`).test(source))).toBe(true);
});
