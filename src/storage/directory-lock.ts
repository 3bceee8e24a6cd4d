import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { runCommand } from './run-command.ts';

const holderSchema = z.object({
  pid: z.int().positive(),
  /** When that process started, in this system's own words: tells it from a later process with the same id. */
  startedAt: z.string(),
  /** Of this lock: tells two locks of one process apart. */
  token: z.string(),
});

type Holder = z.infer<typeof holderSchema>;

/**
 * Takes the lock of `directory` for this process. Answers the id of the process that has it, or how to let it go. A
 * process that was killed loses its lock at once.
 *
 * The lock is the file `lock.<n>` with the highest n. A new holder makes the next one and only then removes those below,
 * so taking a dead process's lock never removes a living one's, whoever comes in between.
 */
export async function lockDirectory(directory: string): Promise<{ holder: number } | { release: () => Promise<void> }> {
  const own: Holder = { pid: process.pid, startedAt: (await readStartTime(process.pid)) ?? '', token: randomUUID() };
  for (;;) {
    const last = (await listLocks(directory)).at(-1) ?? 0;
    const holder = await readHolder(lockPath(directory, last));
    if (holder && (await isAlive(holder))) return { holder: holder.pid };
    if (!(await create(directory, last + 1, own))) continue;
    // Who was slow may have made a number that others have already made and passed.
    const locks = await listLocks(directory);
    if (locks.at(-1) !== last + 1) {
      await rm(lockPath(directory, last + 1), { force: true });
      continue;
    }
    for (const lower of locks.slice(0, -1)) await rm(lockPath(directory, lower), { force: true });
    return { release: () => release(directory, last + 1, own) };
  }
}

/** The id of the living process that has the lock of `directory`; null: none has. Changes nothing. */
export async function findLockHolder(directory: string): Promise<number | null> {
  const last = (await listLocks(directory)).at(-1) ?? 0;
  const holder = await readHolder(lockPath(directory, last));
  return holder && (await isAlive(holder)) ? holder.pid : null;
}

function lockPath(directory: string, number: number): string {
  return join(directory, `lock.${number}`);
}

/** Numbers of the locks, rising. */
async function listLocks(directory: string): Promise<number[]> {
  const names = await readdir(directory);
  const numbers = names.flatMap((name) => /^lock\.(\d+)$/.exec(name)?.[1] ?? []);
  return numbers.map(Number).sort((a, b) => a - b);
}

/** Creates the lock with its whole content, unless it exists: nobody ever reads half of it. */
async function create(directory: string, number: number, own: Holder): Promise<boolean> {
  const unfinished = join(directory, `lock-${own.token}`);
  await writeFile(unfinished, JSON.stringify(own), { mode: 0o600 });
  try {
    await link(unfinished, lockPath(directory, number));
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** Leaves the file, for its number, and takes the holder out of it. */
async function release(directory: string, number: number, own: Holder): Promise<void> {
  const holder = await readHolder(lockPath(directory, number));
  if (holder?.token !== own.token) return;
  const released = join(directory, `lock-${own.token}`);
  await writeFile(released, 'released');
  await rename(released, lockPath(directory, number));
}

/** Null: there is no such lock, or it was released. */
async function readHolder(path: string): Promise<Holder | null> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (isCode(error, 'ENOENT') || error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}

async function isAlive({ pid, startedAt }: Holder): Promise<boolean> {
  return (await readStartTime(pid)) === startedAt;
}

/**
 * When a process started, as a text that only ever equals itself; null: there is no such process. On Linux clock ticks
 * since boot (proc(5), field 22 of `stat`) with the boot's id; elsewhere what `ps` says, to the second.
 */
async function readStartTime(pid: number): Promise<string | null> {
  if (process.platform !== 'linux') {
    const { exitCode, output } = await runCommand('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], {});
    return exitCode === 0 ? output.trim() : null;
  }
  try {
    const [boot, stat] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // Field 2, the name, stands in parentheses and may hold anything: count from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    // A zombie is dead; only its parent has not looked yet.
    return state === 'Z' ? null : `${boot.trim()} ${fields[19]}`;
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ESRCH')) return null;
    throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
