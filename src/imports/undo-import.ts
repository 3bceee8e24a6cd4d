import type { Deployment } from '../deployment.ts';
import { sql } from '../storage/database.ts';
import { type UndoCounts, undoCountsSchema } from './decide-undo.ts';
import { getImport } from './import-store.ts';
import { undoPage } from './undo-page.ts';

/** Takes an import back. */
export interface ImportUndo {
  importId: string;
  /** Ends the undo after the page that is under way; it goes on another time. */
  signal?: AbortSignal;
  /** After each page, with how many users are left. */
  onPage?: (progress: { userCount: number; leftCount: number }) => void;
}

/**
 * Undoes an import. Users that it has made go, unless something has become of them since: an installation, a merge, a message,
 * other values. Users that it has changed get back what they had where they still have what it wrote, and lose the identifiers
 * that it gave them. Opt-outs stay: of an address that goes, as a suppression. What an undo needs goes as it is done, so that one
 * that was interrupted goes on, and another one does nothing. Attributes that it has defined stay defined.
 *
 * @throws DomainError `NOT_FOUND`
 */
export async function undoImport(
  deployment: Deployment,
  { importId, signal, onPage }: ImportUndo,
): Promise<{ counts: UndoCounts; isFinished: boolean }> {
  const { db } = deployment;
  await getImport(db, importId);
  // From now on the import does not go on: the page that is under way fails.
  await db.$executeRaw(sql`
    update imports set undo_started_at = coalesce(undo_started_at, now()) where id = ${importId}::uuid
  `);
  let leftCount = await db.importChange.count({ where: { importId } });
  const userCount = leftCount;
  while (leftCount > 0 && !signal?.aborted) {
    const done = await undoPage(deployment, importId);
    leftCount = done === 0 ? 0 : leftCount - done;
    onPage?.({ userCount, leftCount });
  }
  if (leftCount <= 0) {
    await db.$executeRaw(sql`update imports set undone_at = coalesce(undone_at, now()) where id = ${importId}::uuid`);
  }
  const { undoCounts, undoneAt } = await getImport(db, importId);
  return { counts: undoCountsSchema.parse(undoCounts), isFinished: undoneAt !== null };
}
