import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';

/** A process of the bench. Leaving its scope ends it. */
export interface Child extends AsyncDisposable {
  /** Asks and waits for the answer. One question at a time. Rejects when the process ends instead. */
  ask<Answer>(question: object, answer: z.ZodType<Answer>): Promise<Answer>;
  /** Tells what has no answer. */
  tell(message: object): void;
  /** Rejects when the process ends. */
  ended: Promise<never>;
}

interface ChildOptions {
  /** Options of Node. */
  nodeOptions?: string[];
  /** Its environment beside PATH and HOME. */
  settings?: Record<string, string>;
}

/** Starts a program. Its standard output is not shown. */
export function startChild(program: URL, { nodeOptions = [], settings = {} }: ChildOptions = {}): Child {
  const file = fileURLToPath(program);
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [...nodeOptions, file], {
    env: { PATH, HOME, ...settings },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // Typed arrays pass as they are.
    serialization: 'advanced',
  });
  const ended = once(child, 'exit').then(([code, signal]): never => {
    throw new Error(`${file} has ended (${code ?? signal}).`);
  });
  ended.catch(() => undefined);
  return {
    async ask(question, answer) {
      const answered = once(child, 'message');
      child.send(question);
      const [message] = await Promise.race([answered, ended]);
      return answer.parse(message);
    },
    tell: (message) => void child.send(message),
    ended,
    [Symbol.asyncDispose]: () => end(child),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGINT');
  await exit;
}
