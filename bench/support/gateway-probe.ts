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
 * What the process holds as it stands, and when all is given back that can be. The difference is mostly the young
 * generation: it grows while subscribers come, to 128 MiB, and is not given back by itself once it is empty.
 */
async function settledMemory() {
  const standingBytes = process.memoryUsage.rss();
  for (let collection = 0; collection < 5; collection += 1) {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await sleep(200);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { standingBytes, rssBytes: rss, usedBytes: heapUsed + external };
}
