import type { Deployment } from '../deployment.ts';
import { newId } from '../ids.ts';
import type { Transaction } from '../storage/database.ts';
import { type WriteRequest, write } from '../storage/write.ts';

/** What was written, and its new secret; null for a repeat, as secrets are kept nowhere. */
export type Issued<Written> = Written & { secret: string | null };

/** A key, and its new secret. */
export type IssuedSecret = Issued<{ apiKeyId: string }>;

/**
 * As `write`, for a `body` that makes a secret: that is answered by the call which wrote it and by no repeat of it, and
 * comes into nothing that is kept of the write. Refuses as `write` does.
 */
export async function writeSecret<Written extends object>(
  deployment: Pick<Deployment, 'db' | 'bus'>,
  request: WriteRequest,
  body: (tx: Transaction) => Promise<{ written: Written; secret: string }>,
): Promise<Issued<Written>> {
  // An attempt that was rolled back has made a secret too, which must not be taken for that of a repeat's first call.
  const secrets = new Map<string, string>();
  const result = await write(deployment, request, async (tx) => {
    const made = await body(tx);
    const issue = newId();
    secrets.set(issue, made.secret);
    return { ...made.written, issueId: issue };
  });
  return { ...result, secret: secrets.get(result.issueId) ?? null };
}
