import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StartupError } from '../../src/errors.ts';
import { keepFirstApiKeys, openDataDirectory } from '../../src/storage/data-directory.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const holderProgram = fileURLToPath(new URL('../support/data-directory-holder.ts', import.meta.url));
const firstKeys = { serverKey: 'server-key-of-this-start', appKey: 'app-key-of-this-start' };

let temporary: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
let path: string;
let holders: ChildProcessByStdio<Writable, Readable, null>[] = [];

beforeEach(async () => {
  temporary = await makeTemporaryDirectory();
  path = join(temporary.path, 'data');
});

afterEach(async () => {
  for (const holder of holders) holder.kill('SIGKILL');
  holders = [];
  await temporary.remove();
});

/** Another process that opens the directory; `answer` is `open`, or why it could not. */
async function openElsewhere() {
  const child = spawn(process.execPath, [holderProgram, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  holders.push(child);
  const [answer] = await once(createInterface(child.stdout), 'line');
  return { child, answer: String(answer) };
}

test('a directory that another process has open is refused, and that process is named', async () => {
  const { child, answer } = await openElsewhere();
  expect(answer).toBe('open');
  await expect(openDataDirectory(path)).rejects.toThrow(
    new StartupError(`The data directory ${path} is in use by process ${child.pid}; stop it, or set another DATA_DIR.`),
  );
});

test('of processes that start at once, exactly one gets the directory', async () => {
  const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(async () => (await openElsewhere()).answer));
  expect(answers.filter((answer) => answer === 'open')).toHaveLength(1);
  expect(answers.filter((answer) => answer.includes('is in use by process'))).toHaveLength(5);
});

test('of processes that find the lock of a killed one at once, exactly one takes it over', async () => {
  const { child } = await openElsewhere();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(async () => (await openElsewhere()).answer));
  expect(answers.filter((answer) => answer === 'open')).toHaveLength(1);
});

test('a lock outlives neither its process nor its release', async () => {
  const { child } = await openElsewhere();
  child.stdin.end();
  await once(child, 'exit');
  const directory = await openDataDirectory(path);
  await directory.close();
  const again = await openDataDirectory(path);
  await again.close();
  expect((await readdir(path)).filter((name) => name.startsWith('lock'))).toHaveLength(1);
});

test('a lock whose process id now belongs to another process is taken over', async () => {
  const { child } = await openElsewhere();
  const lock = join(path, 'lock.1');
  const holder: unknown = JSON.parse(await readFile(lock, 'utf8'));
  // The same id, started at another time.
  await writeFile(lock, JSON.stringify({ ...Object(holder), startedAt: 'earlier' }));
  const directory = await openDataDirectory(path);
  expect(child.exitCode).toBeNull();
  await directory.close();
});

test('closing twice does not take the lock of the next one away', async () => {
  const directory = await openDataDirectory(path);
  await directory.close();
  const { child } = await openElsewhere();
  await directory.close();
  await expect(openDataDirectory(path)).rejects.toThrow(`is in use by process ${child.pid}`);
});

test('a directory that cannot be made is refused', async () => {
  await writeFile(join(temporary.path, 'file'), '');
  path = join(temporary.path, 'file/data');
  await expect(openDataDirectory(path)).rejects.toThrow(
    new StartupError(`The data directory ${path} cannot be written (ENOTDIR); set another DATA_DIR.`),
  );
});

test('a directory that cannot be written is refused, also to root', async () => {
  path = '/proc/1';
  await expect(openDataDirectory(path)).rejects.toThrow(/^The data directory \/proc\/1 cannot be written/);
});

test('a directory whose parent takes none is refused at once', async () => {
  path = '/proc/nope/deeper';
  await expect(openDataDirectory(path)).rejects.toThrow(/^The data directory \/proc\/nope\/deeper cannot be written/);
});

test('the keys are made once and kept for their owner only', async () => {
  const directory = await openDataDirectory(path);
  const made = await directory.readKeys(firstKeys);
  expect(made).toMatchObject(firstKeys);
  expect(Buffer.from(made.dataEncryptionKey, 'base64')).toHaveLength(32);
  expect(await directory.readKeys({ serverKey: 'another', appKey: 'another' })).toEqual(made);
  expect((await stat(directory.keysFile)).mode & 0o777).toBe(0o600);
  await directory.close();
});

test('keys that came from the environment are not kept', async () => {
  const directory = await openDataDirectory(path);
  await directory.readKeys({ serverKey: null, appKey: null });
  expect(JSON.parse(await readFile(directory.keysFile, 'utf8'))).toMatchObject({ serverKey: null, appKey: null });
  await directory.close();
});

test('damaged keys stop the start without showing them', async () => {
  const directory = await openDataDirectory(path);
  await writeFile(directory.keysFile, '{ "serverKey": "hunter2');
  await expect(directory.readKeys(firstKeys)).rejects.toThrow(
    new StartupError(`The keys in ${directory.keysFile} are damaged; restore the file from a backup.`),
  );
  await directory.close();
});

test('keys of a database server are kept beside those of an embedded one, and null tells that they could not be', async () => {
  const databaseUrl = 'postgresql://ann:hunter2@db.example.com:5433/carillon';
  const file = await keepFirstApiKeys(path, databaseUrl, firstKeys);
  expect(file).toBe(join(path, 'keys-db.example.com-carillon.json'));
  expect(JSON.parse(await readFile(file ?? '', 'utf8'))).toEqual(firstKeys);

  await mkdir(path, { recursive: true });
  await writeFile(join(temporary.path, 'file'), '');
  expect(await keepFirstApiKeys(join(temporary.path, 'file/data'), databaseUrl, firstKeys)).toBeNull();
});
