import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findFreePort } from '../../src/storage/free-port.ts';
import { createTestDatabase } from '../support/database.ts';
import { findPostgresPid, launchProgram, startProgram, waitFor } from '../support/program.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const dataEncryptionKey = Buffer.alloc(32, 1).toString('base64');

/** One data directory for the file: what a test leaves is what the next program finds. */
let temporary: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
let dataDirectory: string;

beforeAll(async () => {
  temporary = await makeTemporaryDirectory();
  dataDirectory = join(temporary.path, 'data');
});

afterAll(async () => {
  await temporary.remove();
});

/** What a start that fails says: its whole standard error. */
async function refusalOf(settings: Record<string, string>): Promise<string> {
  const program = launchProgram({ PORT: '0', DATA_DIR: dataDirectory, ...settings });
  const ending = await program.ended;
  expect(ending).toEqual({ exitCode: 1, signal: null });
  return program.stderr();
}

const keyPattern = /car_server_[\w-]+/;

describe('on an embedded database', () => {
  test('the first start shows its keys, Ctrl-C stops all of it, and a later start shows no keys but knows them', async () => {
    await using first = await startProgram({ DATA_DIR: dataDirectory });
    const [serverKey = ''] = keyPattern.exec(first.stdout()) ?? [];
    expect(serverKey).not.toBe('');
    expect(await findPostgresPid(dataDirectory)).not.toBeNull();
    expect(await first.stop()).toEqual({ exitCode: 0, signal: null });
    expect(await findPostgresPid(dataDirectory)).toBeNull();

    await using second = await startProgram({ DATA_DIR: dataDirectory });
    expect(second.stdout()).not.toMatch(keyPattern);
    const answer = await fetch(`${second.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${serverKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ users(first: 1) { edges { cursor } } }' }),
    });
    expect(await answer.json()).toMatchObject({ data: { users: { edges: [] } } });
  });

  test('the PostgreSQL of a killed program is replaced by the next start', async () => {
    await using killed = await startProgram({ DATA_DIR: dataDirectory });
    killed.send('SIGKILL');
    await killed.ended;
    const orphan = await findPostgresPid(dataDirectory);
    expect(orphan).not.toBeNull();

    await using next = await startProgram({ DATA_DIR: dataDirectory });
    const postgres = await findPostgresPid(dataDirectory);
    expect(postgres).not.toBeNull();
    expect(postgres).not.toBe(orphan);
    await next.stop();
    expect(await findPostgresPid(dataDirectory)).toBeNull();
  });

  test('an interrupt that arrives twice at once, as through npm, stops it cleanly', async () => {
    await using program = await startProgram({ DATA_DIR: dataDirectory });
    program.send('SIGINT');
    program.send('SIGTERM');
    expect(await program.ended).toEqual({ exitCode: 0, signal: null });
    expect(await findPostgresPid(dataDirectory)).toBeNull();
  });

  test('an interrupt during the first start stops it cleanly', async () => {
    const newDirectory = join(temporary.path, 'interrupted');
    await using program = launchProgram({ PORT: '0', DATA_DIR: newDirectory });
    await waitFor(program, async () => (await findPostgresPid(newDirectory)) !== null);
    program.send('SIGINT');
    expect(await program.ended).toEqual({ exitCode: 0, signal: null });
    expect(await findPostgresPid(newDirectory)).toBeNull();
  });

  test('a second interrupt ends a program that cannot stop', async () => {
    await using program = await startProgram({ DATA_DIR: dataDirectory });
    const postgres = await findPostgresPid(dataDirectory);
    if (postgres === null) throw new Error('PostgreSQL is not running.');
    process.kill(postgres, 'SIGSTOP');
    try {
      const interrupts = setInterval(() => program.send('SIGINT'), 100);
      expect(await program.ended).toEqual({ exitCode: 130, signal: null });
      clearInterval(interrupts);
    } finally {
      process.kill(postgres, 'SIGCONT');
    }
    await using next = await startProgram({ DATA_DIR: dataDirectory });
    await next.stop();
  });

  test('a second start on one directory is refused', async () => {
    await using first = await startProgram({ DATA_DIR: dataDirectory });
    expect(await refusalOf({})).toBe(
      `The data directory ${dataDirectory} is in use by process ${first.pid}; stop it, or set another DATA_DIR.\n`,
    );
  });

  test('a taken port is one sentence, and leaves no PostgreSQL behind', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const refusal = await refusalOf({ PORT: String(port) });
    expect(refusal).toContain(String(port));
    expect(refusal.trim().split('\n')).toHaveLength(1);
    expect(await findPostgresPid(dataDirectory)).toBeNull();
    holder.close();
  });
});

describe('with wrong settings', () => {
  test('a directory that cannot be written is one sentence', async () => {
    await writeFile(join(temporary.path, 'file'), '');
    const directory = join(temporary.path, 'file/data');
    expect(await refusalOf({ DATA_DIR: directory })).toBe(
      `The data directory ${directory} cannot be written (ENOTDIR); set another DATA_DIR.\n`,
    );
  });

  test('a database that is not there is one sentence, without its password', async () => {
    const port = await findFreePort();
    const refusal = await refusalOf({
      DATABASE_URL: `postgresql://ann:hunter2@127.0.0.1:${port}/carillon`,
      DATA_ENCRYPTION_KEY: dataEncryptionKey,
    });
    expect(refusal).toBe(
      `The database of DATABASE_URL cannot be used: nothing accepts connections at 127.0.0.1:${port}; is PostgreSQL running there?\n`,
    );
  });

  test('a Redis that is not there is one sentence, without its password', async () => {
    const database = await createTestDatabase();
    const port = await findFreePort();
    const refusal = await refusalOf({
      DATABASE_URL: database.url,
      DATA_ENCRYPTION_KEY: dataEncryptionKey,
      REDIS_URL: `redis://:hunter2@127.0.0.1:${port}`,
    });
    expect(refusal).toContain(`127.0.0.1:${port}`);
    expect(refusal).not.toContain('hunter2');
    expect(refusal.trim().split('\n')).toHaveLength(1);
    await database.drop();
  });

  test('every mistake is reported at once', async () => {
    expect(await refusalOf({ PORT: 'x', ROLE: 'boss', REDIS_ULR: 'redis://127.0.0.1' })).toBe(
      [
        'PORT must be a number from 0 to 65535.',
        'ROLE must be all, gateway or worker.',
        'REDIS_ULR is not a setting; did you mean REDIS_URL?',
        '',
      ].join('\n'),
    );
  });
});
