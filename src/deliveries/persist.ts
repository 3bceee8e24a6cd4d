import { setTimeout as sleep } from 'node:timers/promises';
import { createOutage } from '../stream/outage.ts';
import type { Worker } from './worker.ts';

/** Tries again what the database did not do, for as long as a claim holds without a renewal, or until sends are cut off. */
export async function persist<Result>(
  { log, leaseSeconds, sendSignal }: Pick<Worker, 'log' | 'leaseSeconds' | 'sendSignal'>,
  work: () => Promise<Result>,
): Promise<Result> {
  const giveUpAt = performance.now() + leaseSeconds * 1_000;
  const outage = createOutage(log, {
    began: 'What becomes of deliveries cannot be written; it is tried again',
    ended: 'What becomes of deliveries is written again',
  });
  for (;;) {
    try {
      const result = await work();
      outage.over();
      return result;
    } catch (error) {
      const delayMs = outage.failed(error);
      if (sendSignal.aborted || performance.now() + delayMs > giveUpAt) throw error;
      await sleep(delayMs, undefined, { signal: sendSignal }).catch(() => undefined);
    }
  }
}
