import { setTimeout } from 'node:timers/promises';
import { Prisma } from '../generated/prisma/client.ts';
import type { Database, Transaction } from './database.ts';

const attemptsMax = 20;

/**
 * Runs `body` in one transaction (read committed) and repeats it when another transaction got in its way: a deadlock, a
 * serialization failure, or two writers of one unique key. `body` must therefore do nothing but database work.
 * Gives up, with the last error, after 20 attempts.
 */
export async function inTransaction<T>(db: Database, body: (tx: Transaction) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.$transaction(body);
    } catch (error) {
      if (attempt >= attemptsMax || !isConflict(error)) throw error;
      // Whoever was in the way is given time to finish, and not everybody comes back at once.
      await setTimeout(Math.random() * Math.min(200, 2 ** attempt));
    }
  }
}

/** Throw inside a transaction to have it repeated: what was read is no longer so. */
export class StaleReadError extends Error {
  override readonly name = 'StaleReadError';
}

// PostgreSQL: 40001 serialization_failure, 40P01 deadlock_detected, 23505 unique_violation.
// Prisma: P2034 write conflict or deadlock, P2002 unique constraint; a raw query's error carries PostgreSQL's own code.
const conflictCodes = new Set(['40001', '40P01', '23505', 'P2034', 'P2002']);

function isConflict(error: unknown): boolean {
  if (error instanceof StaleReadError) return true;
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return false;
  if (conflictCodes.has(error.code)) return true;
  const original = error.meta?.driverAdapterError;
  if (!(original instanceof Error) || typeof original.cause !== 'object' || original.cause === null) return false;
  return 'originalCode' in original.cause && conflictCodes.has(String(original.cause.originalCode));
}
