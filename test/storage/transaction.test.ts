import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { sql, type Transaction } from '../../src/storage/database.ts';
import { inTransaction, StaleReadError } from '../../src/storage/transaction.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();

const makeSegment = (tx: Transaction, name: string = randomUUID()) =>
  tx.segment.create({ data: { id: newId(), name } });
const insertSegment = (tx: Transaction, name: string) =>
  tx.$executeRaw(sql`insert into segments (id, name) values (${newId()}::uuid, ${name})`);

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
  // One of them was the victim, and came again.
  expect(holders).toBe(3);
});

test.each([
  ['Prisma', makeSegment],
  ['SQL', insertSegment],
])('what meets another one’s unique key, by %s, is done again, and nothing of the first attempt stays', async (_, make) => {
  const name = randomUUID();
  await database.db.segment.create({ data: { id: newId(), name } });
  const tried: string[] = [];
  await inTransaction(database.db, async (tx) => {
    const other = await makeSegment(tx);
    tried.push(other.id);
    if (tried.length === 1) await make(tx, name);
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
