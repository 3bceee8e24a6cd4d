import { spawn } from 'node:child_process';

/** How a program ended. */
export interface CommandResult {
  /** Null: a signal ended it. */
  exitCode: number | null;
  /** Standard output and standard error, as they came. */
  output: string;
}

/**
 * Runs a program to its end, in a session that keeps the terminal's interrupts away and with an environment that is
 * always the same, so that settings meant for other programs (`PGDATA`, `PGPORT`) do not reach it. `user`: run as that user; only root may.
 * Rejects when the program cannot be started.
 */
export async function runCommand(
  command: string,
  args: string[],
  options: { cwd?: string; user?: { uid: number; gid: number } | null },
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(options.user ? { uid: options.user.uid, gid: options.user.gid } : {}),
    });
    let output = '';
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, output }));
  });
}
