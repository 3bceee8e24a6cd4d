import { randomBytes } from 'node:crypto';
import { access, chmod, constants, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { StartupError } from '../errors.ts';
import { findLockHolder, lockDirectory } from './directory-lock.ts';

const keysSchema = z.object({
  /** Secret of the first server key; null: it came from the environment, and is not ours to keep. */
  serverKey: z.string().nullable(),
  /** Secret of the default app's first key; null: as above. */
  appKey: z.string().nullable(),
  /** Encrypts credentials and push keys at rest: 32 bytes, base64. */
  dataEncryptionKey: z.base64().refine((text) => Buffer.from(text, 'base64').length === 32),
  /** Password of the embedded PostgreSQL's superuser. */
  databasePassword: z.string().min(1),
});

/** What the program generated for itself at its first start. */
export type GeneratedKeys = z.infer<typeof keysSchema>;

/** Secrets of the first API keys, as `GeneratedKeys` keeps them. */
export type FirstApiKeys = Pick<GeneratedKeys, 'serverKey' | 'appKey'>;

/** The directory where one process keeps the embedded database and the keys it generated. */
export interface DataDirectory {
  /** Absolute. */
  path: string;
  /** Absolute path of the file that holds the keys, readable by its owner only. */
  keysFile: string;
  /**
   * The keys of this directory. The first call on a new directory generates and writes them, with `first` as its API
   * keys; later ones read them, and `first` is ignored. Throws a StartupError when the file is damaged.
   */
  readKeys(first: FirstApiKeys): Promise<GeneratedKeys>;
  /** Lets another process open the directory. May be called twice. */
  close(): Promise<void>;
}

/**
 * Opens `path` for this process alone and creates it where it is missing. The lock of a process that was killed is
 * taken over.
 *
 * Throws a StartupError when the directory cannot be made or written, or another living process has it open.
 */
export async function openDataDirectory(path: string): Promise<DataDirectory> {
  const directory = resolve(path);
  const lock = await refuseUnwritable(directory, async () => {
    await createDirectory(directory);
    return lockDirectory(directory);
  });
  if ('holder' in lock) {
    throw new StartupError(
      `The data directory ${directory} is in use by process ${lock.holder}; stop it, or set another DATA_DIR.`,
    );
  }
  const keysFile = join(directory, 'keys.json');
  return {
    path: directory,
    keysFile,
    readKeys: (first) => readOrGenerateKeys(directory, keysFile, first),
    close: lock.release,
  };
}

/** What is in a data directory, for who does not open it. */
export interface DataDirectoryContent {
  /** Absolute. */
  path: string;
  keys: GeneratedKeys;
  /** The process that has it open; null: none has. */
  holder: number | null;
}

/** Looks into a data directory, and changes nothing. Null: there is nothing in it. @throws StartupError when it cannot be read. */
export async function lookIntoDataDirectory(path: string): Promise<DataDirectoryContent | null> {
  const directory = resolve(path);
  const keys = await readKeys(join(directory, 'keys.json'));
  return keys && { path: directory, keys, holder: await findLockHolder(directory) };
}

/** Turns what the file system refuses to `work` into a sentence about `directory`. */
async function refuseUnwritable<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new StartupError(
      `The data directory ${directory} cannot be written (${reason(error)}); set another DATA_DIR.`,
      { cause: error },
    );
  }
}

async function createDirectory(directory: string): Promise<void> {
  const created = await makeDirectories(directory);
  // Root's PostgreSQL runs as another user, who has to pass through. (The parents were made 0700 too.)
  if (created !== undefined && userInfo().uid === 0) await openToPassers(created, directory);
  await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
}

/**
 * Makes a directory and the parents that it lacks, mode 0700, and returns the first one made. Node's own `recursive` tries
 * for ever where a parent takes no directories, such as /proc.
 */
async function makeDirectories(path: string): Promise<string | undefined> {
  try {
    await mkdir(path, { mode: 0o700 });
    return path;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    if (error.code === 'EEXIST') return undefined;
    const parent = dirname(path);
    if (error.code !== 'ENOENT' || parent === path) throw error;
    const first = await makeDirectories(parent);
    await mkdir(path, { mode: 0o700 });
    return first ?? path;
  }
}

/** Sets mode 0711 on `last` and on each of its parents down from `first`. */
async function openToPassers(first: string, last: string): Promise<void> {
  for (let path = last; path.length >= first.length; path = resolve(path, '..')) await chmod(path, 0o711);
}

/**
 * Keeps the secrets of API keys that were made in the database at `databaseUrl`, in a file of their own below `path`,
 * and returns its absolute path. Null: the directory cannot be written, so they must be shown or are lost. Needs no lock.
 */
export async function keepFirstApiKeys(path: string, databaseUrl: string, keys: FirstApiKeys): Promise<string | null> {
  const directory = resolve(path);
  const { hostname, pathname } = new URL(databaseUrl);
  const file = join(directory, `keys-${`${hostname}${pathname}`.replace(/[^\w.-]+/g, '-')}.json`);
  try {
    await createDirectory(directory);
    await writeWhole(file, keys);
    return file;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null;
    throw error;
  }
}

async function readOrGenerateKeys(directory: string, file: string, first: FirstApiKeys): Promise<GeneratedKeys> {
  const known = await readKeys(file);
  if (known) return known;
  const keys: GeneratedKeys = {
    ...first,
    dataEncryptionKey: randomBytes(32).toString('base64'),
    databasePassword: randomBytes(24).toString('base64url'),
  };
  await refuseUnwritable(directory, () => writeWhole(file, keys));
  return keys;
}

/** Null: there is no such file. */
async function readKeys(file: string): Promise<GeneratedKeys | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new StartupError(`The keys in ${file} cannot be read (${reason(error)}).`, { cause: error });
  });
  return text === null ? null : parseKeys(file, text);
}

function parseKeys(file: string, text: string): GeneratedKeys {
  try {
    return keysSchema.parse(JSON.parse(text));
  } catch (error) {
    // Neither the file's words nor Zod's: both can hold a key.
    throw new StartupError(`The keys in ${file} are damaged; restore the file from a backup.`, {
      cause: error instanceof z.ZodError ? error.issues.map(({ path }) => path.join('.')) : undefined,
    });
  }
}

/** Either the whole file is there afterwards or none of it, also after a power cut. */
async function writeWhole(file: string, keys: FirstApiKeys): Promise<void> {
  const unfinished = `${file}.unfinished`;
  await rm(unfinished, { force: true });
  await writeFile(unfinished, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true });
  await rename(unfinished, file);
}

function reason(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
