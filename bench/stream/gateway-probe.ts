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

/**
 * What is held when all is given back that can be: else the young generation, which has grown while subscribers came and is
 * empty now, would count, with its up to 128 MiB.
 */
async function settledMemory() {
  for (let collection = 0; collection < 5; collection += 1) {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await sleep(200);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rssBytes: rss, usedBytes: heapUsed + external };
}
