import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { cancelPersonTargetedDeliveries } from '../identity/installation-owner.ts';
import { type DecidedBatch, decideBatch, writeBatch } from '../identity/save/save-batch.ts';
import { meanwhile } from '../storage/meanwhile.ts';
import { inTransaction } from '../storage/transaction.ts';
import type { FilePosition } from './file-lines.ts';
import { keepChanges, toChangeRows } from './import-changes.ts';
import { addRefusals, moveImport, type PageCounts } from './import-store.ts';
import { type ImportPage, type Refusal, toRefusal } from './read-pages.ts';
import { writeOptOuts } from './write-opt-outs.ts';

/** What became of a page. */
export interface PageOutcome {
  counts: PageCounts;
  /** Of records that cannot be read, and of those that cannot be saved, in the order of the file. */
  refusals: Refusal[];
}

/** The principal that an import is recorded as. */
export const importPrincipal = (importId: string): string => `import:${importId}`;

/**
 * Saves a page, tells what was refused, keeps what an undo needs, and moves the import on, in one transaction: so a page is
 * written once and whole, wherever the process is killed.
 *
 * @param at where the import is, as far as the caller knows.
 * @throws DomainError `STATE_CONFLICT` when it is elsewhere; what keeps all lines back, such as too many new attributes.
 */
export async function importPage(
  deployment: Deployment,
  page: ImportPage,
  { id, at }: { id: string; at: FilePosition },
): Promise<PageOutcome> {
  return inTransaction(deployment.db, async (tx) => {
    const decided = await decideBatch(
      tx,
      deployment,
      page.lines.map(({ save }) => save),
    );
    const writing = writeBatch(tx, deployment, decided);
    const changes = await meanwhile(writing, () => toChangeRows(deployment.cipher, decided));
    await writeOptOuts(tx, savedOf(page, decided), importPrincipal(id));
    await keepChanges(tx, id, changes);
    const outcome = toOutcome(page, decided);
    await addRefusals(tx, id, outcome.refusals);
    await moveImport(tx, { id, at, end: page.end, counts: outcome.counts });
    await cancelPersonTargetedDeliveries(tx, await writing);
    return outcome;
  });
}

/** Ends a transaction that is to leave nothing behind. */
class DryRunEnd extends Error {
  readonly decided: DecidedBatch;

  constructor(decided: DecidedBatch) {
    super('A dry run writes nothing.');
    this.decided = decided;
  }
}

/**
 * What {@link importPage} would do, as far as one page can tell: what is in the pages before it is not written. Writes
 * nothing.
 */
export async function tryPage(deployment: Deployment, page: ImportPage): Promise<PageOutcome> {
  const saves = page.lines.map(({ save }) => save);
  try {
    return await inTransaction(deployment.db, async (tx) => {
      throw new DryRunEnd(await decideBatch(tx, deployment, saves));
    });
  } catch (error) {
    if (error instanceof DryRunEnd) return toOutcome(page, error.decided);
    throw error;
  }
}

function savedOf({ lines }: ImportPage, { results }: DecidedBatch) {
  return lines.flatMap((line, index) => {
    const user = results[index];
    return user && !(user instanceof DomainError) && line.optOuts.length > 0 ? [{ line, user }] : [];
  });
}

function toOutcome({ lines, refusals, namelessCount }: ImportPage, { results }: DecidedBatch): PageOutcome {
  const refused = lines.flatMap(({ number }, index) => {
    const result = results[index];
    return result instanceof DomainError ? [toRefusal(number, result)] : [];
  });
  const all = [...refusals, ...refused].sort((a, b) => a.lineNumber - b.lineNumber);
  const made = results.filter((result) => !(result instanceof DomainError) && result.created).length;
  const saved = results.length - refused.length;
  return { counts: { made, saved, refused: all.length, nameless: namelessCount }, refusals: all };
}
