import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { answerParent } from './parent.ts';

// Loaded into a gateway before its own code (`--import`, with `--expose-gc`): tells what the process has used.

const questionSchema = z.object({ kind: z.enum(['cpu', 'memory']) });

answerParent((question) => {
  const { kind } = questionSchema.parse(question);
  return kind === 'cpu' ? { cpuUs: cpuUs() } : settledMemory();
});

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** After collections, with time in between for what they free to go back to the system. */
async function settledMemory() {
  for (let collection = 0; collection < 5; collection += 1) {
    globalThis.gc?.();
    await sleep(200);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rssBytes: rss, usedBytes: heapUsed + external };
}
