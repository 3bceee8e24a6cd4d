import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createLogger } from '../src/logger.ts';
import { sql } from '../src/storage/database.ts';
import { useDatabase } from './support/database.ts';

const database = useDatabase();
const address = 'ann.secret@example.com';

test.each<[string, () => Promise<unknown>]>([
  ['a value of a wrong type', () => database.db.$queryRaw(sql`select ${address}::uuid`)],
  ['a value of a wrong type in a model', () => database.db.app.findUnique({ where: { id: address } })],
  ['an argument that no model has', () => database.db.app.create({ data: JSON.parse(`{ "name": "${address}" }`) })],
  ['a row without what it must have', () => database.pool.query('insert into apps (name) values ($1)', [address])],
  ['a row that is there already', () => insertTwice()],
])('what a database says of %s is logged without the value', async (_, fail) => {
  const error: unknown = await fail().then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  const lines: string[] = [];
  createLogger({ stream: { write: (line) => lines.push(line) } }).error({ err: error }, 'It failed.');

  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    msg: 'It failed.',
    err: {
      type: expect.stringMatching(/Error$/),
      message: expect.stringMatching(/\S/),
      stack: expect.stringContaining('at '),
    },
  });
  expect(lines[0]).not.toContain(address);
});

function insertTwice() {
  return database.pool.query('insert into apps (id, name) values ($2, $1), ($3, $1)', [
    address,
    randomUUID(),
    randomUUID(),
  ]);
}

test('the cause of an error is logged with it', () => {
  const lines: string[] = [];
  const error = new Error('Could not send.', { cause: new Error('The line is dead.') });
  createLogger({ stream: { write: (line) => lines.push(line) } }).error({ err: error }, 'It failed.');
  expect(lines[0]).toContain('The line is dead.');
});
