import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { createLogger } from '../../src/logger.ts';
import { keepAttributeIndexes } from '../../src/segments/attribute-indexes.ts';
import { audienceSql, planForPages } from '../../src/segments/audience.ts';
import { readFilter } from '../../src/segments/filter.ts';
import { prepareFilter } from '../../src/segments/known-segments.ts';
import { sql } from '../../src/storage/database.ts';
import { inTransaction } from '../../src/storage/transaction.ts';
import { useDatabase } from '../support/database.ts';
import { explainCount, insertCrowd } from '../support/segments/crowd.ts';

// At 20,000 users; `npm run bench:segments` looks at the plans of 200,000.

const database = useDatabase();

beforeAll(() => insertCrowd(database.pool, 20_000));

const planOf = async (stored: object) =>
  explainCount(database.pool, audienceSql(await prepareFilter(database.db, readFilter(stored))));

const listIndexes = async () =>
  (
    await database.pool.query<{ name: string }>(
      `select relname as name from pg_class where relname like 'users_attribute_%' order by 1`,
    )
  ).rows;

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

describe('of events and topics', () => {
  const [news, offers] = [newId(), newId()];

  beforeAll(async () => {
    await database.pool.query(sql`
      insert into topics (id, name, is_subscribed_by_default) values (${news}::uuid, 'news', true), (${offers}::uuid, 'offers', false)`);
    await database.pool.query(sql`
      insert into topic_preferences (id, user_id, topic_id, is_subscribed, said_at, said_by)
      select uuid_v7(), id, topic, true, now(), 'test'
      from users, unnest(${[news, offers]}::uuid[]) as topic`);
    await database.pool.query(`
      insert into tracked_events (id, user_id, name, at)
      select uuid_v7(), id, case n when 1 then 'rare' else 'login' end,
        now() - make_interval(secs => abs(hashtext(concat(n, id))) % 864000)
      from users, generate_series(1, 4) n where abs(hashtext(id::text)) % case n when 1 then 1000 else 2 end = 0`);
    await database.pool.query('vacuum analyze users, topics, topic_preferences, tracked_events');
  });

  /** How a page of a large audience would be found, from the middle of it on. */
  async function planOfPage(stored: object): Promise<string> {
    const where = audienceSql(await prepareFilter(database.db, readFilter(stored)));
    const middle = sql`(select id from users order by id offset 10000 limit 1)`;
    return inTransaction(database.storage, async (tx) => {
      await planForPages(tx);
      const page = sql`select u.id from users u where u.id > ${middle} and ${where} order by u.id limit 500`;
      return JSON.stringify(await tx.$queryRaw<unknown[]>(sql`explain (format json) ${page}`));
    });
  }

  test('what few have done is counted by an index of all events', async () => {
    expect(await planOf({ event: { name: 'rare' } })).toContain('tracked_events_name_at_user_id_idx');
  });

  test.each([
    ['did what many have done', { event: { name: 'login' } }],
    ['did it several times', { event: { name: 'login', count: 3 } }],
    ['did not do it', { noEvent: { name: 'login', within: { days: 30 } } }],
    ['cannot be said to have done it', { not: { event: { name: 'login' } } }],
  ])('of who %s a page is found by looking at its users', async (_, filter) => {
    const plan = await planOfPage(filter);
    expect(plan).toContain('users_living_idx');
    expect(plan).toContain('tracked_events_user_id_name_at_idx');
  });

  test.each([
    ['is subscribed', { topic: news }],
    ['is not subscribed', { not: { topic: offers } }],
  ])('of who %s to a topic a page is found by looking at its users', async (_, filter) => {
    const plan = await planOfPage(filter);
    expect(plan).toMatch(/topic_preferences_(user_id_topic_id_channel_key|topic_id_user_id_idx)/);
    expect(plan).not.toMatch(/"Seq Scan"[^{}]*"topic_preferences"/);
  });
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

test('an index of texts serves ranges, lists, beginnings and relative dates, and one that was left half made is made anew', async () => {
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
  for (const type of ['DATE', 'DATETIME']) {
    expect(await planOf(condition({ type, withinLast: { days: 7 } }))).toContain('users_attribute_');
  }
});

test('a value that is longer than an entry of an index is written all the same, and found', async () => {
  const id = newId();
  const startsWith = `${'a'.repeat(255)}\u{1f600}b`;
  const filter = { attribute: { name: 'plan', type: 'STRING', startsWith } };
  await database.pool.query(
    sql`insert into segments (id, name, filter) values (${id}::uuid, ${id}, ${JSON.stringify(filter)}::jsonb)`,
  );
  await keepIndexes();
  const plan = startsWith + randomBytes(3_000).toString('base64').slice(0, 3_839);
  const { rows } = await database.pool.query<{ id: string }>(
    sql`insert into users (id, custom_attributes) values (uuid_v7(), ${JSON.stringify({ plan })}::jsonb) returning id`,
  );
  expect(await planOf(filter)).toContain('users_attribute_');
  const where = audienceSql(await prepareFilter(database.db, readFilter(filter)));
  expect(await database.db.$queryRaw(sql`select u.id from users u where ${where}`)).toEqual(rows);
});

test('an attribute of installations gets none, as none would be asked', async () => {
  await database.pool.query(sql`
    insert into attribute_definitions (id, owner, name, type) values (uuid_v7(), 'USER', 'theme', 'STRING')`);
  const id = newId();
  const filter = { installation: { attribute: [{ name: 'theme', type: 'STRING', gt: 'a' }] } };
  await database.pool.query(
    sql`insert into segments (id, name, filter) values (${id}::uuid, ${id}, ${JSON.stringify(filter)}::jsonb)`,
  );
  const before = await listIndexes();
  await keepIndexes();
  expect(await listIndexes()).toEqual(before);
});

test('of many who see to them at once none is in vain: each segment has its index when all are done', async () => {
  const names = Array.from({ length: 6 }, (_, index) => `attribute ${index}`);
  const before = await listIndexes();
  await Promise.all(
    names.map(async (name) => {
      const [id, filter] = [newId(), { attribute: { name, type: 'NUMBER', gt: '1' } }];
      await database.pool.query(sql`
        insert into attribute_definitions (id, owner, name, type) values (uuid_v7(), 'USER', ${name}, 'NUMBER')`);
      await database.pool.query(
        sql`insert into segments (id, name, filter) values (${id}::uuid, ${id}, ${JSON.stringify(filter)}::jsonb)`,
      );
      await keepIndexes();
    }),
  );
  expect(await listIndexes()).toHaveLength(before.length + names.length);
});

test('a stop leaves no connection taken, also one that comes while the connection is waited for', async () => {
  const stopping = new AbortController();
  const kept = keepIndexes(stopping.signal);
  stopping.abort();
  await kept;
  expect(database.pool.idleCount).toBe(database.pool.totalCount);
});
