import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyUse } from '../../src/apps/key-use.ts';
import { newId } from '../../src/ids.ts';
import { useDatabase } from '../support/database.ts';
import { createTestLog } from '../support/log-events.ts';
import { until } from '../support/until.ts';

const database = useDatabase();

async function insertKey(): Promise<string> {
  const id = newId();
  await database.pool.query(
    `insert into api_keys (id, kind, name, secret_hash) values ($1, 'SERVER', 'a', sha256($2::text::bytea))`,
    [id, id],
  );
  return id;
}

const lastUse = async (id: string) => (await database.db.apiKey.findUniqueOrThrow({ where: { id } })).lastUsedAt;

const keyUse = (everyMs?: number) => createKeyUse({ db: database.db, log: createTestLog().log }, { everyMs });

test('uses are written after a while, without anybody waiting', async () => {
  const [id, other, before] = [await insertKey(), await insertKey(), new Date()];
  const use = keyUse(20);
  use.used(id);
  await until(async () => (await lastUse(id)) !== null);
  expect((await lastUse(id))?.getTime()).toBeGreaterThanOrEqual(before.getTime());
  expect(await lastUse(other)).toBeNull();
  await use.close();
});

test('what is left is written by the close, and of many uses the last', async () => {
  const [first, second] = [await insertKey(), await insertKey()];
  const use = keyUse();
  for (const _ of Array(1_000)) for (const id of [first, second]) use.used(id);
  await use.close();
  expect([await lastUse(first), await lastUse(second)]).toEqual([expect.any(Date), expect.any(Date)]);
});

test('an earlier use that is written later changes nothing', async () => {
  const id = await insertKey();
  const later = new Date(Date.now() + 60_000);
  await database.db.apiKey.update({ where: { id }, data: { lastUsedAt: later } });
  const use = keyUse();
  use.used(id);
  await use.close();
  expect(await lastUse(id)).toEqual(later);
});

test('what could not be written is written later, and a key that is gone is no fault', async () => {
  const id = await insertKey();
  const { log, sentences } = createTestLog();
  const use = createKeyUse({ db: database.db, log }, { everyMs: 20 });
  await database.pool.query('alter table api_keys rename to hidden');
  use.used(id);
  use.used(randomUUID());
  await until(async () => sentences.includes('When keys were used last could not be written.'));
  await database.pool.query('alter table hidden rename to api_keys');
  await until(async () => (await lastUse(id)) !== null);
  await use.close();
});
