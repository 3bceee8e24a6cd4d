import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { newId } from '../../src/ids.ts';
import { openStorage, sql, type Transaction } from '../../src/storage/database.ts';
import { inTransaction, StaleReadError } from '../../src/storage/transaction.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();

const insertSegment = (tx: Transaction, { id = newId(), name = randomUUID() as string }) =>
  tx.$executeRaw(sql`insert into segments (id, name) values (${id}::uuid, ${name})`);

/** The same database through one connection, which every transaction has. */
function openOneConnection() {
  const storage = openStorage(database.url, { connectionsMax: 1 });
  return { ...storage, [Symbol.asyncDispose]: () => storage.close() };
}
const askPid = async (tx: Transaction) => {
  const [row] = await tx.$queryRaw<{ pid: number }[]>(sql`select pg_backend_pid() as pid`);
  return row?.pid;
};

test('two that wait for each other both get done', async () => {
  const [a, b] = [randomUUID(), randomUUID()];
  for (const name of [a, b]) await database.db.segment.create({ data: { id: newId(), name } });
  const bothHoldOne = Promise.withResolvers<void>();
  let holders = 0;
  const lockBoth = (first: string, second: string) =>
    inTransaction(database.db, async (tx) => {
      await tx.$queryRaw(sql`select id from segments where name = ${first} for update`);
      holders += 1;
      if (holders >= 2) bothHoldOne.resolve();
      await bothHoldOne.promise;
      await tx.$queryRaw(sql`select id from segments where name = ${second} for update`);
    });
  await Promise.all([lockBoth(a, b), lockBoth(b, a)]);
  // One of them was the victim, and came again: more than once where it was there before the other one had woken.
  expect(holders).toBeGreaterThanOrEqual(3);
});

test('what meets another one’s unique key is done again, and nothing of the first attempt stays', async () => {
  const name = randomUUID();
  await database.db.segment.create({ data: { id: newId(), name } });
  const tried: string[] = [];
  await inTransaction(database.db, async (tx) => {
    const id = newId();
    await insertSegment(tx, { id });
    tried.push(id);
    if (tried.length === 1) await insertSegment(tx, { name });
  });
  const kept = await database.db.segment.findMany({ where: { id: { in: tried } } });
  expect(kept.map(({ id }) => id)).toEqual(tried.slice(1));
});

test('what was read and is no longer so is read again', async () => {
  let attempts = 0;
  const result = await inTransaction(database.db, async () => {
    attempts += 1;
    if (attempts < 3) throw new StaleReadError();
    return attempts;
  });
  expect(result).toBe(3);
});

test('a conflict that stays is told after twenty attempts', async () => {
  let attempts = 0;
  const work = inTransaction(database.db, async () => {
    attempts += 1;
    throw new StaleReadError();
  });
  await expect(work).rejects.toThrow(StaleReadError);
  expect(attempts).toBe(20);
});

test('any other error is told at once', async () => {
  let attempts = 0;
  const work = inTransaction(database.db, async (tx) => {
    attempts += 1;
    await tx.$queryRaw(sql`select 1 / 0`);
  });
  await expect(work).rejects.toThrow('division by zero');
  expect(attempts).toBe(1);
});

test('a statement whose table was altered since it was prepared is done again on a fresh connection', async () => {
  await using one = openOneConnection();
  await database.pool.query('create table altered as select 1 as a');
  const pids = new Set<number | undefined>();
  const readAll = () =>
    inTransaction(one.db, async (tx) => {
      pids.add(await askPid(tx));
      return tx.$queryRaw<object[]>(sql`select * from altered`);
    });
  expect(await readAll()).toEqual([{ a: 1 }]);

  await database.pool.query('alter table altered add column b integer not null default 2');

  expect(await readAll()).toEqual([{ a: 1, b: 2 }]);
  expect(pids.size).toBe(2);
});

test('a connection that broke is told, and serves nobody afterwards', async () => {
  await using one = openOneConnection();
  let broken: number | undefined;
  const work = inTransaction(one.db, async (tx) => {
    broken = await askPid(tx);
    await database.pool.query('select pg_terminate_backend($1)', [broken]);
    await tx.$queryRaw(sql`select 1`);
  });
  await expect(work).rejects.toThrow();

  const pid = await inTransaction(one.db, askPid);
  expect(pid).toBeTypeOf('number');
  expect(pid).not.toBe(broken);
});

test('a connection whose transaction was rolled back serves the next one', async () => {
  await using one = openOneConnection();
  const pids: (number | undefined)[] = [];
  const work = inTransaction(one.db, async (tx) => {
    pids.push(await askPid(tx));
    throw new Error('refused');
  });
  await expect(work).rejects.toThrow('refused');

  pids.push(await inTransaction(one.db, askPid));
  expect(pids[1]).toBe(pids[0]);
});

test.each([
  'Pacific/Kiritimati',
  'UTC',
  'America/Anchorage',
])('a day comes back as that day in %s', async (timeZone) => {
  vi.stubEnv('TZ', timeZone);
  try {
    expect(new Intl.DateTimeFormat().resolvedOptions().timeZone).toBe(timeZone);
    const rows = await inTransaction(database.db, (tx) =>
      tx.$queryRaw<{ day: Date }[]>(sql`select '2020-02-29'::date as day`),
    );
    expect(rows).toEqual([{ day: new Date('2020-02-29T00:00:00Z') }]);
  } finally {
    vi.unstubAllEnvs();
  }
});

test('what is made of a caller’s words is not prepared, of which a connection would keep every text for good', async () => {
  await using one = openOneConnection();
  const countPrepared = (plans: 'FITTED' | 'ONCE') =>
    inTransaction(
      one.db,
      async (tx) => {
        await tx.$executeRaw(sql`select ${1}::int`);
        const [row] = await tx.$queryRaw<{ count: number }[]>(
          sql`select count(*)::int as count from pg_prepared_statements`,
        );
        return row?.count;
      },
      plans,
    );
  expect(await countPrepared('ONCE')).toBe(0);
  expect(await countPrepared('FITTED')).toBe(2);
});
