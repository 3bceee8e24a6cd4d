import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { useImports } from '../support/imports.ts';

const { write, database } = useImports();
const million = 1_000_000;
const command = fileURLToPath(new URL('../../src/carillon.ts', import.meta.url));

function* lines(): Generator<string> {
  yield 'externalUserId,email,firstName,tags\n';
  for (let index = 0; index < million; index += 1) {
    // One in ten thousand is no address.
    const email = index % 10_000 === 42 ? 'x' : `person.${index}@example.com`;
    yield `user-${index},${email},Ada ${index},imported\n`;
  }
}

/** What a process holds now, in MiB; null: it has ended. */
async function readMemory(pid: number | undefined): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const [, kib] = /VmRSS:\s+(\d+)/.exec(status) ?? [];
  return kib === undefined ? null : Math.round(Number(kib) / 1_024);
}

test('a million users are imported in memory that does not grow with the file', { timeout: 3_600_000 }, async ({
  annotate,
}) => {
  const file = await write('');
  await pipeline(Readable.from(lines()), createWriteStream(file));
  const startedAt = performance.now();
  const child = spawn(process.execPath, [command, 'import', 'users', file], {
    env: { ...process.env, DATABASE_URL: database.url, DATA_ENCRYPTION_KEY: randomBytes(32).toString('base64') },
    stdio: 'ignore',
  });
  const samples: { lineNumber: number; mib: number }[] = [];
  const ended = once(child, 'exit');
  while (child.exitCode === null) {
    const row = await database.db.import.findFirst({ orderBy: { id: 'desc' } });
    const mib = await readMemory(child.pid);
    if (mib !== null) samples.push({ lineNumber: row?.lineNumber ?? 0, mib });
    await Promise.race([ended, sleep(1_000)]);
  }
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const most = (from: number, to: number) =>
    Math.max(...samples.filter(({ lineNumber }) => lineNumber >= from && lineNumber < to).map(({ mib }) => mib));
  const [early, late] = [most(0, million / 4), most((million / 4) * 3, million + 2)];
  await annotate(
    `A million users in ${seconds} s; at most ${early} MiB in the first quarter, ${late} MiB in the last.`,
  );
  expect(late).toBeLessThan(early * 1.5);
  expect(child.exitCode).toBe(1);
  const row = await database.db.import.findFirstOrThrow();
  expect(row).toMatchObject({ lineNumber: million + 1, madeCount: million - 100, refusedCount: 100 });
});
