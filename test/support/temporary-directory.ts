import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The variable in which a run tells its processes where its temporary files are to be. @default the system's place for them */
export const temporaryFilesVariable = 'TEST_TEMPORARY_FILES';

/** A new, empty directory, which root's PostgreSQL, run as another user, can pass through. Remove it when done. */
export async function makeTemporaryDirectory(): Promise<{ path: string; remove: () => Promise<void> }> {
  const { [temporaryFilesVariable]: place = tmpdir() } = process.env;
  const path = await mkdtemp(join(place, 'carillon-test-'));
  await chmod(path, 0o711);
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
