import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { StartupError } from '../../src/errors.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const password = randomBytes(16).toString('hex');
/** One directory for the file: each test finds what the one before has left, and a server that is stopped. */
let directory: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
let started: EmbeddedPostgres[] = [];

beforeAll(async () => {
  directory = await makeTemporaryDirectory();
});
afterEach(async () => {
  await Promise.all(started.map((server) => server.stop()));
  started = [];
});
afterAll(() => directory.remove());

async function start(): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    directory: join(directory.path, 'postgres'),
    password,
    settings: { fsync: 'off' },
  });
  started.push(server);
  return server;
}

async function query(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>({ text: statement });
    return rows;
  } finally {
    await client.end();
  }
}

test('a later start finds the data', async () => {
  const first = await start();
  await query(first.url, 'create table kept as select 42 as answer');
  await first.stop();

  const second = await start();
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('a server that was left behind is stopped, and its data found', async () => {
  const orphan = await start();
  await query(orphan.url, 'create table kept_by_orphan as select 43 as answer');

  const next = await start();
  expect(await query(next.url, 'select answer from kept_by_orphan')).toEqual([{ answer: 43 }]);
  await expect(query(orphan.url, 'select')).rejects.toThrow(/ECONNREFUSED/);
});

test('a lock file that names a living process of another program is no server', async () => {
  const first = await start();
  await first.stop();
  const lockFile = join(directory.path, 'postgres/data/postmaster.pid');
  await writeFile(lockFile, `${process.pid}\n${join(directory.path, 'postgres/data')}\n0\n1\n\n127.0.0.1\n`);

  const second = await start();
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a first start that was interrupted is begun again', async () => {
  const first = await start();
  await first.stop();
  // What a killed initdb leaves: files under the unfinished name, the password beside them, nothing under the real one.
  const postgres = join(directory.path, 'postgres');
  await rm(join(postgres, 'data'), { recursive: true });
  await mkdir(join(postgres, 'unfinished-1'));
  await writeFile(join(postgres, 'unfinished-1/PG_VERSION'), '18');
  await writeFile(join(postgres, 'unfinished-1-password'), 'half a pass');

  const second = await start();
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect((await readdir(postgres)).filter((name) => name.startsWith('unfinished'))).toEqual([]);
});

test('the server listens on loopback only, without sockets in the file system', async () => {
  const { url } = await start();
  expect(await query(url, 'show listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  expect(await query(url, 'show unix_socket_directories')).toEqual([{ unix_socket_directories: '' }]);
});

test('nobody gets in without the password', async () => {
  const url = new URL((await start()).url);
  url.password = 'password';
  await expect(query(url.href, 'select')).rejects.toThrow(/password authentication failed/);
});

test('another password than the one of the first start is told plainly', async () => {
  const first = await start();
  await first.stop();
  const second = startEmbeddedPostgres({ directory: join(directory.path, 'postgres'), password: 'another' });
  await expect(second).rejects.toThrow(StartupError);
  await expect(second).rejects.toThrow(/another password than keys.json/);
  const lockFile = join(directory.path, 'postgres/data/postmaster.pid');
  await expect(readFile(lockFile)).rejects.toThrow(/ENOENT/);
});

// Only root's PostgreSQL runs as another user.
test.skipIf(userInfo().uid !== 0)('a directory that root keeps to itself is refused plainly', async () => {
  await chmod(directory.path, 0o700);
  onTestFinished(() => chmod(directory.path, 0o711));
  const attempt = start();
  await expect(attempt).rejects.toThrow(StartupError);
  await expect(attempt).rejects.toThrow(
    `cannot enter ${directory.path}/postgres; let others pass its parent directories`,
  );
});

test('text compares by code point and folds case by Unicode, whatever the machine', async () => {
  const { url } = await start();
  expect(await query(url, `select 'Z' < 'a' as "isByCodePoint", lower('ÄЖ') as folded`)).toEqual([
    { isByCodePoint: true, folded: 'äж' },
  ]);
});
