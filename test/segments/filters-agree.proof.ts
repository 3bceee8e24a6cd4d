import { expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { findDisagreement } from '../support/segments/agreement.ts';

const database = useDatabase();

test('3,000 filters are decided of 300 people each in three ways, and all three agree', async () => {
  await expect(
    findDisagreement(database.db, { people: 300, filters: 3_000, seed: Date.now() % 2 ** 31 }),
  ).resolves.toBeUndefined();
});
