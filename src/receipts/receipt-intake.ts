import { setTimeout as sleep } from 'node:timers/promises';
import type { Deployment } from '../deployment.ts';
import { inTransaction } from '../storage/transaction.ts';
import { applyReceipts, type IncomingReceipt } from './apply-receipts.ts';

/** How long receipts are waited for that come at the same time. @default 5 */
const gatherMs = 5;
/** @default 1_000 // receipts a transaction */
const receiptsPerBatch = 1_000;

/** Takes receipts in. */
export interface ReceiptIntake {
  /** Resolves when they are recorded, for good; rejects when they could not be: whoever brought them must bring them again. */
  take(receipts: readonly IncomingReceipt[]): Promise<void>;
  /** Resolves when what was taken is recorded. */
  close(): Promise<void>;
}

interface Entry {
  receipts: readonly IncomingReceipt[];
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Gathers the receipts of a few milliseconds, of all channels, into one transaction: each append to the delivery log waits for
 * the one before. While one is under way the next gathers.
 */
export function createReceiptIntake({ db, bus }: Pick<Deployment, 'db' | 'bus'>): ReceiptIntake {
  let waiting: Entry[] = [];
  let work: Promise<void> | null = null;

  function takeBatch(): Entry[] {
    let count = 0;
    const size = waiting.findIndex(({ receipts }, index) => {
      count += receipts.length;
      return index > 0 && count > receiptsPerBatch;
    });
    const batch = size === -1 ? waiting : waiting.slice(0, size);
    waiting = size === -1 ? [] : waiting.slice(size);
    return batch;
  }

  async function workOff(): Promise<void> {
    await sleep(gatherMs);
    while (waiting.length > 0) {
      const batch = takeBatch();
      try {
        const receipts = batch.flatMap((entry) => entry.receipts);
        await inTransaction(db, (tx) => applyReceipts(tx, receipts), 'GENERIC');
        bus.wake();
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    work = null;
  }

  return {
    take(receipts) {
      if (receipts.length === 0) return Promise.resolve();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      waiting.push({ receipts, resolve, reject });
      work ??= workOff();
      return promise;
    },
    async close() {
      await work;
    },
  };
}
