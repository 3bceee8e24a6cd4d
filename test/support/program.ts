import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { closeIdleConnections } from './post-json.ts';
import { programEnvironment } from './program-environment.ts';

const mainFile = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const shortLeaseFile = fileURLToPath(new URL('./short-lease-program.ts', import.meta.url));

/** How a program ended: by itself (`exitCode`) or by a signal. */
export interface Ending {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
}

/** The program, running as a process of its own. `await using` kills it if the test did not stop it. */
export interface Program extends AsyncDisposable {
  pid: number;
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  send(signal: NodeJS.Signals): void;
  /** Resolves when the process has ended and its output is complete. */
  ended: Promise<Ending>;
  /** Asks it to stop, as Ctrl-C does, and waits for the end. */
  stop(): Promise<Ending>;
}

/** A program that answers, at `url`. */
export interface ReadyProgram extends Program {
  /** Such as `http://127.0.0.1:41234`. */
  url: string;
}

type Settings = Record<string, string>;

/** Leaves no connection behind for which a stop would wait. */
const lastRequest = { headers: { connection: 'close' } };

/**
 * Starts `node src/main.ts` with these settings and of this process's environment what
 * `programEnvironment` says, in `directory` (default: this process's).
 */
export function launchProgram(settings: Settings, directory?: string, file = mainFile): Program {
  const child = spawn(process.execPath, [file], {
    cwd: directory,
    env: { ...programEnvironment(), ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return toProgram(child);
}

/** Starts the program on a free port, unless the settings say another, and waits until `/ready` answers 200. */
export async function startProgram(settings: Settings, directory?: string): Promise<ReadyProgram> {
  const program = launchProgram({ PORT: '0', ...settings }, directory);
  const url = await waitFor(program, () => findUrl(program.stdout()));
  await waitFor(program, async () => (await fetch(`${url}/ready`, lastRequest)).status === 200);
  return Object.assign(program, { url });
}

/** Starts the program as a worker only and waits until it says that it is ready. */
export function startWorker(settings: Settings): Promise<Program> {
  return readyWorker(launchProgram({ ROLE: 'worker', ...settings }));
}

/** As `startWorker`, but what it holds is taken over 2 seconds after it was killed, by one that was started so too. */
export function startShortLeaseWorker(settings: Settings): Promise<Program> {
  return readyWorker(launchProgram({ ROLE: 'worker', ...settings }, undefined, shortLeaseFile));
}

async function readyWorker(program: Program): Promise<Program> {
  await waitFor(program, () => /Carillon is ready|"msg":"ready"/.test(program.stdout()));
  return program;
}

/** Process id of the embedded PostgreSQL below `dataDirectory`; null: none is running, or it was stopped in order. */
export async function findPostgresPid(dataDirectory: string): Promise<number | null> {
  // While files are being made and moved, a listing can fail.
  const names = await readdir(dataDirectory, { recursive: true }).catch(() => []);
  const lockFile = names.find((name) => name.endsWith('postmaster.pid'));
  if (!lockFile) return null;
  const pid = Number.parseInt(await readFile(join(dataDirectory, lockFile), 'utf8').catch(() => ''), 10);
  // Negative: initdb at work.
  return pid > 0 && isRunning(pid) ? pid : null;
}

/** Waits until `condition` holds; fails with what the program has written when it ends before. */
export async function waitFor<T>(
  program: Program,
  condition: () => T | null | false | Promise<T | null | false>,
): Promise<T> {
  let ending: Ending | null = null;
  program.ended.then((result) => {
    ending = result;
  });
  for (;;) {
    const result = await condition();
    if (result !== null && result !== false) return result;
    if (ending) throw new Error(`The program has ended:\n${program.stdout()}\n${program.stderr()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function findUrl(output: string): string | null {
  return /(https?:\/\/[^\s"/]+)\/graphql/.exec(output)?.[1] ?? /"url":"([^"]+)"/.exec(output)?.[1] ?? null;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function toProgram(child: ChildProcessByStdio<null, Readable, Readable>): Program {
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const ended = once(child, 'close').then(([exitCode, signal]): Ending => ({ exitCode, signal }));
  const stop = () => {
    closeIdleConnections();
    child.kill('SIGINT');
    return ended;
  };
  return {
    pid: child.pid ?? 0,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    send: (signal) => void child.kill(signal),
    ended,
    stop,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      // Gently: an embedded PostgreSQL has to go too.
      await stop();
    },
  };
}
