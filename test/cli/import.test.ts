import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createCipher } from '../../src/storage/cipher.ts';
import { checkEncryptionKey } from '../../src/storage/deployment-secrets.ts';
import { runCommand } from '../support/command.ts';
import { csv, useImports } from '../support/imports.ts';
import { programEnvironment } from '../support/program-environment.ts';
import { until } from '../support/until.ts';

const imports = useImports();
const { write, find, database } = imports;
const key = randomBytes(32);
const settings = () => ({ DATABASE_URL: database.url, DATA_ENCRYPTION_KEY: key.toString('base64') });
const run = (...args: string[]) => runCommand(['import', ...args], settings());

test('an import exits with 1 and a report when something was refused, is listed, and is undone', async () => {
  const id = randomUUID();
  const file = await write(csv('externalUserId,email', `${id},`, `${randomUUID()},secret`));
  const report = await write('');
  const done = await run('users', file, '--report', report);
  expect(done).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^[\w-]{36}\n$/) });
  expect(done.stderr).toBe('1 records saved, 1 of them new users; 1 refused; 0 name nobody.\n');
  const refusal = { lineNumber: 3, code: 'EMAIL_INVALID', message: expect.any(String), path: ['emails', '0'] };
  expect(JSON.parse(await readFile(report, 'utf8'))).toEqual(refusal);

  const importId = done.stdout.trim();
  const [listed, reported] = await Promise.all([run('list'), run('report', importId)]);
  expect(listed.stdout.split('\n')[1]).toMatch(new RegExp(`^${importId}\t\\S+\tfinished\t3\t1\t1\t1\t[\\w-]+\\.csv$`));
  expect(JSON.parse(reported.stdout)).toEqual(refusal);
  const undone = await run('undo', importId);
  expect([undone.exitCode, undone.stderr, await find(id)]).toEqual([
    0,
    '1 users are removed, 0 are as they were.\n',
    null,
  ]);
});

test('an import that is killed goes on by the same command, and nothing is lost or doubled', async () => {
  const ids = Array.from({ length: 8_000 }, () => randomUUID());
  const file = await write(csv('externalUserId,email', ...ids.map((id) => `${id},${id}@example.com`)));
  await checkEncryptionKey(database.db, createCipher(key));
  const command = fileURLToPath(new URL('../../src/carillon.ts', import.meta.url));
  const lines = async () =>
    (await database.db.import.findFirst({ where: { fileName: basename(file) } }))?.lineNumber ?? 0;
  const child = spawn(process.execPath, [command, 'import', 'users', file], {
    env: { ...programEnvironment(), ...settings() },
    stdio: 'ignore',
  });
  await until(async () => (await lines()) > 1);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await lines()).toBeLessThan(8_001);
  const done = await run('users', file);
  expect(done).toMatchObject({
    exitCode: 0,
    stderr: expect.stringMatching(/^Goes on after line \d+\.\n8000 records saved, 8000 of them new/),
  });
  const { rows } = await database.pool.query(
    `select count(*)::int as names, count(distinct user_id)::int as users from identifiers where value = any($1)`,
    [ids],
  );
  expect(rows).toEqual([{ names: 8_000, users: 8_000 }]);
});

test('mistakes are told in a sentence', async () => {
  const [format, missing] = await Promise.all([run('users', await write('x', 'txt')), run('undo', randomUUID())]);
  expect(format).toMatchObject({
    exitCode: 1,
    stderr: 'The name of the file does not say its format: give --format.\n',
  });
  expect(missing).toMatchObject({ exitCode: 1, stderr: 'There is no such import.\n' });
});
