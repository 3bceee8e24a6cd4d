import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StartupError } from '../../src/errors.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

let database: TestDatabase;
let directory: Awaited<ReturnType<typeof makeTemporaryDirectory>>;

beforeEach(async () => {
  database = await createTestDatabase({ migrated: false });
  directory = await makeTemporaryDirectory();
});

afterEach(async () => {
  await database.drop();
  await directory.remove();
});

async function write(name: string, statements: string): Promise<void> {
  await mkdir(join(directory.path, name), { recursive: true });
  await writeFile(join(directory.path, name, 'migration.sql'), statements);
}

async function query(statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(database.url);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(statement);
    return rows;
  } finally {
    await client.end();
  }
}

test('the migrations of the program apply, in the order of their names, and once', async () => {
  const names = await migrate(database.url);
  expect(names.length).toBeGreaterThan(0);
  expect(names).toEqual([...names].sort());
  expect(await migrate(database.url)).toEqual([]);
});

test('processes that start at once apply each migration once', async () => {
  const applied = await Promise.all([1, 2, 3, 4].map(() => migrate(database.url)));
  const all = applied.flat();
  expect(all.length).toBeGreaterThan(0);
  expect(new Set(all).size).toBe(all.length);
});

test('what is recorded is what `prisma migrate deploy` records', async () => {
  const [name = ''] = await migrate(database.url);
  const file = fileURLToPath(new URL(`../../prisma/migrations/${name}/migration.sql`, import.meta.url));
  const checksum = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  const [row] = await query('select * from _prisma_migrations order by migration_name limit 1');
  expect(row).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    checksum,
    finished_at: expect.any(Date),
    migration_name: name,
    logs: null,
    rolled_back_at: null,
    started_at: expect.any(Date),
    applied_steps_count: 1,
  });
});

test('a later migration is added to those that were applied', async () => {
  await write('1_first', 'create table first (id integer)');
  await migrate(database.url, directory.path);
  await write('2_second', 'alter table first add column name text');
  expect(await migrate(database.url, directory.path)).toEqual(['2_second']);
});

test('an applied migration whose file was changed stops the start', async () => {
  await write('1_first', 'create table first (id integer)');
  await migrate(database.url, directory.path);
  await write('1_first', 'create table first (id bigint)');
  const attempt = migrate(database.url, directory.path);
  await expect(attempt).rejects.toThrow(StartupError);
  await expect(attempt).rejects.toThrow(/1_first is not the one that was applied/);
});

test("a newer program's migration stops the start", async () => {
  await write('1_first', 'create table first (id integer)');
  await write('2_newer', 'create table newer (id integer)');
  await migrate(database.url, directory.path);
  const older = await makeTemporaryDirectory();
  await mkdir(join(older.path, '1_first'));
  await writeFile(join(older.path, '1_first/migration.sql'), 'create table first (id integer)');
  const attempt = migrate(database.url, older.path);
  await expect(attempt).rejects.toThrow(StartupError);
  await expect(attempt).rejects.toThrow(/newer version of this program \(2_newer is unknown here\)/);
  await older.remove();
});

test('a migration that fails leaves nothing of itself, and those before it applied', async () => {
  await write('1_first', 'create table first (id integer)');
  await write('2_broken', 'create table second (id integer); select 1 / 0');
  const attempt = migrate(database.url, directory.path);
  await expect(attempt).rejects.toThrow(StartupError);
  await expect(attempt).rejects.toThrow('Migration 2_broken failed, and nothing of it was applied: division by zero.');
  expect(await query(`select to_regclass('first') is not null as first, to_regclass('second') as second`)).toEqual([
    { first: true, second: null },
  ]);
  expect(await query('select migration_name from _prisma_migrations')).toEqual([{ migration_name: '1_first' }]);
});

test('a migration that Prisma began and did not finish stops the start', async () => {
  await write('1_first', 'create table first (id integer)');
  await migrate(database.url, directory.path);
  await query('update _prisma_migrations set finished_at = null');
  await expect(migrate(database.url, directory.path)).rejects.toThrow(/1_first was begun by other means/);
});
