import { randomUUID } from 'node:crypto';
import { access, chown, mkdir, readdir, readFile, readlink, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { StartupError } from '../errors.ts';
import { findFreePort } from './free-port.ts';
import { findPostgresBinaries, type PostgresBinaries } from './postgres-binaries.ts';
import { findServerUser, type ServerUser } from './postgres-user.ts';
import { type CommandResult, runCommand } from './run-command.ts';

/** A PostgreSQL server that this process started. */
export interface EmbeddedPostgres {
  /** Connection string of the database `carillon`, with the superuser's password. */
  url: string;
  /** Ends connections, stops the server and waits for it. May be called twice. */
  stop(): Promise<void>;
}

const databaseName = 'carillon';
const userName = 'carillon';

/**
 * A taken port (it was free a moment ago) and the last backends of a killed server (they still hold its shared memory)
 * both pass: a start is tried this often.
 */
const startAttemptsMax = 6;
const startRetryDelayMs = 500;

/** What every server gets, on its command line. Reachable by TCP on loopback only, and no socket file whose path could be too long. */
const baseSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // A line every five minutes that nobody needs.
  log_checkpoints: 'off',
};

interface Server {
  /** Holds everything of the server: `data/`, `server.log`. */
  directory: string;
  dataDirectory: string;
  binaries: PostgresBinaries;
  /** Runs PostgreSQL's programs; null: this process's own user. */
  user: ServerUser | null;
}

/**
 * Starts a PostgreSQL server on a free port of 127.0.0.1, with its files below `directory`; the first start creates
 * them. A server that a killed process left behind on the same files is stopped first, so the caller must hold a lock
 * that says that nobody else uses `directory`.
 *
 * `password` is the superuser's, and must be the same at every start. `settings` are further PostgreSQL settings
 * (`{ fsync: 'off' }`), plain words only. The server runs in a session of its own: an interrupt from the terminal does
 * not reach it.
 *
 * Throws a StartupError when there is no PostgreSQL for this platform, or it cannot run here.
 */
export async function startEmbeddedPostgres(options: {
  directory: string;
  password: string;
  settings?: Record<string, string>;
}): Promise<EmbeddedPostgres> {
  const settings = { ...baseSettings, ...options.settings };
  const server = await openServerDirectory(options.directory);
  await stopOrphan(server);
  await initialize(server, options.password, settings);
  const port = await start(server, settings);
  const toUrl = (database: string) => `postgresql://${userName}:${options.password}@127.0.0.1:${port}/${database}`;
  try {
    await createDatabase(toUrl('postgres'));
  } catch (error) {
    await stop(server);
    throw error;
  }
  let stopping: Promise<void> | null = null;
  return {
    url: toUrl(databaseName),
    stop() {
      stopping ??= stop(server);
      return stopping;
    },
  };
}

/**
 * The connection string of the server that another process has started on `directory`, as `startEmbeddedPostgres` gives it;
 * null: none accepts connections there. It may be stopped at any moment.
 */
export async function findRunningPostgres(options: { directory: string; password: string }): Promise<string | null> {
  const directory = await realpath(options.directory).catch(emptyIfAbsent);
  if (directory === '') return null;
  const dataDirectory = join(directory, 'data');
  // Its lines: process, directory, start, port, socket directory, address, shared memory, status.
  const lines = (await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch(emptyIfAbsent)).split('\n');
  const [pid, , , port, , , , status] = lines.map((line) => line.trim());
  if (status !== 'ready' || !/^\d+$/.test(pid ?? '') || !/^\d+$/.test(port ?? '')) return null;
  if (!(await isServerProcess(Number(pid), dataDirectory))) return null;
  return `postgresql://${userName}:${options.password}@127.0.0.1:${port}/${databaseName}`;
}

async function openServerDirectory(directory: string): Promise<Server> {
  const binaries = await findPostgresBinaries();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = await realpath(directory);
  const dataDirectory = join(path, 'data');
  const user = await findServerUser(dataDirectory);
  if (user) {
    await chown(path, user.uid, user.gid);
    await refuseUnreachable(path, binaries, user);
  }
  return { directory: path, dataDirectory, binaries, user };
}

/** Started by root, PostgreSQL runs as another user, who may not be able to get where it has to. */
async function refuseUnreachable(directory: string, binaries: PostgresBinaries, user: ServerUser): Promise<void> {
  const script = 'cd "$1" || exit 3; "$2" --version >/dev/null || exit 4';
  const { exitCode } = await runCommand('/bin/sh', ['-c', script, 'sh', directory, binaries.postgres], { user });
  if (exitCode === 3) {
    throw new StartupError(
      `PostgreSQL does not run as root, and the user "${user.name}" cannot enter ${directory}; let others pass its parent directories (chmod o+x), or set another DATA_DIR.`,
    );
  }
  if (exitCode !== 0) {
    throw new StartupError(
      `PostgreSQL does not run as root, and the user "${user.name}" cannot run ${binaries.postgres}; let others read it, or start the program as another user.`,
    );
  }
}

/** Creates the server's files. They appear under their name when they are complete: an interrupted start leaves nothing that counts. */
async function initialize(server: Server, password: string, settings: Record<string, string>): Promise<void> {
  if (await exists(join(server.dataDirectory, 'PG_VERSION'))) return;
  for (const name of await readdir(server.directory)) {
    // The initdb of a killed process may be at work there still: it fails, but files may come back meanwhile.
    if (name.startsWith('unfinished')) {
      await rm(join(server.directory, name), { recursive: true, force: true, maxRetries: 20 });
    }
  }
  const unfinished = join(server.directory, `unfinished-${randomUUID()}`);
  const passwordFile = `${unfinished}-password`;
  await writeFile(passwordFile, password, { mode: 0o600, flag: 'wx' });
  if (server.user) await chown(passwordFile, server.user.uid, server.user.gid);
  // The builtin provider compares text by code point and folds case by Unicode, the same on every platform.
  const result = await runCommand(
    server.binaries.initdb,
    [
      `--pgdata=${basename(unfinished)}`,
      `--username=${userName}`,
      `--pwfile=${basename(passwordFile)}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-instructions',
      ...(settings.fsync === 'off' ? ['--no-sync'] : []),
    ],
    { user: server.user, cwd: server.directory },
  );
  await rm(passwordFile, { force: true });
  if (result.exitCode !== 0) throw failure('could not be set up', result.output);
  await rename(unfinished, server.dataDirectory);
}

/** Starts the server and returns its port. `server.log` tells of this start, `server.previous.log` of the one before. */
async function start(server: Server, settings: Record<string, string>): Promise<number> {
  const log = join(server.directory, 'server.log');
  await rm(join(server.directory, 'server.previous.log'), { force: true });
  if (await exists(log)) await rename(log, join(server.directory, 'server.previous.log'));
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort();
    const options = Object.entries({ ...settings, port: String(port) })
      .map(([name, value]) => `-c ${name}='${value}'`)
      .join(' ');
    const result = await pgCtl(server, ['start', '--wait', '--timeout=60', '--log=server.log', `--options=${options}`]);
    if (result.exitCode === 0) return port;
    if (attempt === startAttemptsMax) {
      const logged = await readFile(log, 'utf8').catch(emptyIfAbsent);
      throw failure(`does not start (its log is ${log})`, logged || result.output);
    }
    await sleep(startRetryDelayMs);
    // One that a process began to start just before it was killed.
    await stopOrphan(server);
  }
}

async function stop(server: Server): Promise<void> {
  const result = await pgCtl(server, ['stop', '--mode=fast', '--wait', '--timeout=30']);
  if (result.exitCode === 0 || (await findServerProcess(server)) === null) return;
  // It recovers from its write-ahead log at the next start.
  await pgCtl(server, ['stop', '--mode=immediate', '--wait', '--timeout=30']);
}

async function stopOrphan(server: Server): Promise<void> {
  const pid = await findServerProcess(server);
  if (pid !== null) await stop(server);
}

/**
 * The process id of the server that runs on these files. PostgreSQL's own lock file names it, but after a restart of
 * the machine another process may have that id: such a file is removed, since PostgreSQL would believe it and `pg_ctl`
 * would signal that process.
 */
async function findServerProcess({ dataDirectory }: Server): Promise<number | null> {
  const lockFile = join(dataDirectory, 'postmaster.pid');
  const pid = Number.parseInt(await readFile(lockFile, 'utf8').catch(emptyIfAbsent), 10);
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  const isOurs = await isServerProcess(pid, dataDirectory);
  if (isOurs === null) return null;
  if (isOurs) return pid;
  await rm(lockFile, { force: true });
  return null;
}

/** Whether process `pid` is a PostgreSQL server on `dataDirectory`; null: there is no such process. */
async function isServerProcess(pid: number, dataDirectory: string): Promise<boolean | null> {
  if (process.platform === 'linux') {
    // A server works inside its data directory.
    const workingDirectory = await readlink(`/proc/${pid}/cwd`).catch(
      (error: NodeJS.ErrnoException) => error.code ?? '',
    );
    return workingDirectory === 'ENOENT' || workingDirectory === 'ESRCH' ? null : workingDirectory === dataDirectory;
  }
  const { exitCode, output } = await runCommand('/bin/ps', ['-o', 'command=', '-p', String(pid)], {});
  return exitCode === 0 ? output.includes('postgres') : null;
}

/** Runs `pg_ctl` in the server's directory, so that no path, whatever its characters, passes through a shell. */
async function pgCtl(server: Server, [command = '', ...options]: string[]): Promise<CommandResult> {
  return runCommand(server.binaries.pgCtl, [command, '--pgdata=data', ...options], {
    user: server.user,
    cwd: server.directory,
  });
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client(url);
  try {
    await client.connect();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [databaseName]);
    if (rowCount === 0) await client.query(`create database ${databaseName}`);
  } catch (error) {
    // 28P01 invalid_password
    if (!(error instanceof pg.DatabaseError) || error.code !== '28P01') throw error;
    throw new StartupError(
      'The embedded PostgreSQL has another password than keys.json; restore the file that belongs to it.',
      {
        cause: error,
      },
    );
  } finally {
    await client.end();
  }
}

/** With the line of PostgreSQL's words that names the cause: the last one that calls itself an error, else the last. */
function failure(what: string, output: string): StartupError {
  const lines = output.trim().split('\n');
  const cause = lines.findLast((line) => /\b(FATAL|error):/.test(line)) ?? lines.at(-1) ?? '';
  return new StartupError(`The embedded PostgreSQL ${what}: ${cause.replace(/^.*\b(FATAL|error): +/, '')}.`);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function emptyIfAbsent(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return '';
  throw error;
}
