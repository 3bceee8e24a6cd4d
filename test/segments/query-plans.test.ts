import { beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { createLogger } from '../../src/logger.ts';
import { keepAttributeIndexes } from '../../src/segments/attribute-indexes.ts';
import { audienceSql } from '../../src/segments/audience.ts';
import { readFilter } from '../../src/segments/filter.ts';
import { prepareFilter } from '../../src/segments/known-segments.ts';
import { sql } from '../../src/storage/database.ts';
import { useDatabase } from '../support/database.ts';
import { explainCount, insertCrowd } from '../support/segments/crowd.ts';

// At 20,000 users; `npm run bench:segments` looks at the plans of 200,000.

const database = useDatabase();

beforeAll(() => insertCrowd(database.pool, 20_000));

const planOf = async (stored: object) =>
  explainCount(database.pool, audienceSql(await prepareFilter(database.db, readFilter(stored))));

const keepIndexes = (signal = new AbortController().signal) =>
  keepAttributeIndexes({ ...database.storage, log: createLogger({ level: 'silent' }), signal });

test.each([
  ['a tag', { tag: 'shop-7' }, 'users_tags_idx'],
  [
    'an attribute that is equal',
    { attribute: { name: 'points', type: 'NUMBER', eq: '7' } },
    'users_custom_attributes_idx',
  ],
])('%s is found by its index', async (_, filter, index) => {
  expect(await planOf(filter)).toContain(index);
});

test('an attribute that a segment compares by range gets an index, which goes with the last such segment', async () => {
  const range = { attribute: { name: 'points', type: 'NUMBER', gt: '990.5' } };
  expect(await planOf(range)).not.toContain('users_attribute_');
  const id = newId();
  await database.pool.query(sql`
    insert into segments (id, name, filter)
    values (${id}::uuid, ${id}, ${JSON.stringify({ all: [{ tag: 'sale' }, { not: range }] })}::jsonb)`);
  await keepIndexes();
  const plan = await planOf(range);
  expect(plan).toContain('users_attribute_');
  await keepIndexes();
  expect(await planOf(range)).toBe(plan);
  await database.pool.query(sql`delete from segments where id = ${id}::uuid`);
  await keepIndexes();
  expect(await planOf(range)).not.toContain('users_attribute_');
});

test('an index of texts serves ranges, lists and beginnings, and one that was left half made is made anew', async () => {
  const id = newId();
  const condition = (operators: object) => ({ attribute: { name: 'plan', type: 'STRING', ...operators } });
  await database.pool.query(sql`
    insert into segments (id, name, filter) values (${id}::uuid, ${id}, ${JSON.stringify(condition({ startsWith: 'g' }))}::jsonb)`);
  await keepIndexes();
  await database.pool.query(`
    update pg_index set indisvalid = false where indexrelid in (select oid from pg_class where relname like 'users_attribute_%')`);
  expect(await planOf(condition({ gt: 'zz' }))).not.toContain('users_attribute_');
  await keepIndexes();
  for (const operators of [{ gt: 'zz' }, { startsWith: 'zz' }, { in: ['zz', 'zy'] }]) {
    expect(await planOf(condition(operators))).toContain('users_attribute_');
  }
});

test('a stop leaves no connection taken, also one that comes while the connection is waited for', async () => {
  const stopping = new AbortController();
  const kept = keepIndexes(stopping.signal);
  stopping.abort();
  await kept;
  expect(database.pool.idleCount).toBe(database.pool.totalCount);
});
