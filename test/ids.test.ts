import { expect, test } from 'vitest';
import { isUuid, newId } from '../src/ids.ts';

test('ids of one process sort in the order in which they were made, however fast that is', () => {
  const ids = Array.from({ length: 20_000 }, () => newId());
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => !isUuid(id) || id[14] !== '7' || !/[89ab]/.test(id[19] ?? ''))).toEqual([]);
});
