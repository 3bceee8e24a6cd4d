import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const commandFile = fileURLToPath(new URL('../../src/carillon.ts', import.meta.url));

/** How a command ended, and what it wrote. */
export interface CommandResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Runs `carillon` with these arguments, and these settings and nothing else of this process's environment but PATH and HOME. */
export function runCommand(args: readonly string[], settings: Record<string, string>): Promise<CommandResult> {
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [commandFile, ...args],
      { env: { PATH, HOME, ...settings } },
      (_, stdout, stderr) => resolve({ exitCode: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
