import { setTimeout as pause } from 'node:timers/promises';

/** Asks until the answer is neither null nor false, and answers it. The test's own timeout is the limit. */
export async function until<T>(ask: () => Promise<T | null | false>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    await pause(10);
  }
}
