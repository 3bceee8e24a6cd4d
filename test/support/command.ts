import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { programEnvironment } from './program-environment.ts';

const commandFile = fileURLToPath(new URL('../../src/carillon.ts', import.meta.url));

/** How a command ended, and what it wrote. */
export interface CommandResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Runs `carillon` with these arguments, these settings, and what `programEnvironment` says. */
export function runCommand(args: readonly string[], settings: Record<string, string>): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [commandFile, ...args],
      { env: { ...programEnvironment(), ...settings } },
      (_, stdout, stderr) => resolve({ exitCode: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
