import { statfs } from 'node:fs/promises';
import { temporaryFilesVariable } from './temporary-directory.ts';

/** Where Linux keeps files in memory only. */
const memory = '/dev/shm';

/** More than a run needs. */
const roomMin = 2 ** 31; // 2 GiB

/**
 * Lets the temporary files of the run, above all those of its PostgreSQL, be in memory where there is room. A database is a
 * thousand files, and every test file makes one: a disk may take longer for that than the tests for all the rest.
 */
export async function setup(): Promise<void> {
  const space = await statfs(memory).catch(() => null);
  if (space && space.bavail * space.bsize >= roomMin) process.env[temporaryFilesVariable] = memory;
}
