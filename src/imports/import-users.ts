import { basename } from 'node:path';
import { listAttributeDefinitions } from '../attributes/attribute-definition.ts';
import type { Deployment } from '../deployment.ts';
import type { ConvertedTypes } from './fields.ts';
import { type FilePosition, hashFile } from './file-lines.ts';
import { type ImportOptions, toLayout } from './import-options.ts';
import { importPage, tryPage } from './import-page.ts';
import {
  addImport,
  fileHash,
  findUnfinishedImport,
  finishImport,
  getUnfinishedImport,
  type KnownFile,
  type OpenImport,
  type PageCounts,
} from './import-store.ts';
import { type ImportPage, type Refusal, readPages } from './read-pages.ts';

/** Users from a file. */
export interface UserImport {
  file: string;
  /** How the file is read; or the import that goes on as it began. */
  from: { options: ImportOptions } | { importId: string };
  /** Nothing is written: says what would become of the file. */
  isDryRun?: boolean;
  /** Ends the import after the page that is under way; it goes on another time. */
  signal?: AbortSignal;
  /** What is there before the first page. */
  onBegin?: (begun: { importId: string | null; at: FilePosition }) => void;
  /** After each page. */
  onPage?: (progress: { at: FilePosition; counts: PageCounts; refusals: readonly Refusal[] }) => void | Promise<void>;
}

/** What has become of the file in this run, and whether it is done. */
export interface UsersImported {
  /** Null: of a dry run. */
  importId: string | null;
  isFinished: boolean;
  /** Of this run alone. */
  counts: PageCounts;
}

/**
 * Saves the users of a file (rule U9), each record as `saveUser` with `create` would, in pages, each of them one transaction. An
 * import that was interrupted goes on where its last page has ended, when the same file is imported again in the same way.
 *
 * @throws DomainError `VALUE_INVALID`: the file has no header that can be read; `NOT_FOUND`, `STATE_CONFLICT`: the import cannot
 * go on. What was written until then stays, and can be undone.
 */
export async function importUsers(deployment: Deployment, request: UserImport): Promise<UsersImported> {
  const { file, isDryRun = false, signal, onBegin, onPage } = request;
  const { known, knownFile, options } = await findImport(deployment, request);
  const types = await listConvertedTypes(deployment);
  let at = known?.at ?? { byteOffset: 0, lineNumber: 0 };
  const pages = readPages({ file, options, layout: toLayout(options, types), rules: deployment.rules }, at);
  const counts: PageCounts = { made: 0, saved: 0, refused: 0, nameless: 0 };
  try {
    let next = await pages.next();
    // A file without a header that can be read begins no import.
    const importId = isDryRun ? null : (known ?? (await addImport(deployment.db, knownFile, options))).id;
    onBegin?.({ importId, at });
    while (!next.done && !signal?.aborted) {
      const page = next.value;
      const following = readAhead(pages);
      const outcome = await (importId === null
        ? tryPage(deployment, page)
        : importPage(deployment, page, { id: importId, at }));
      at = page.end;
      add(counts, outcome.counts);
      await onPage?.({ at, counts, refusals: outcome.refusals });
      next = await following;
    }
    const isFinished = next.done === true;
    if (isFinished && importId !== null) await finishImport(deployment.db, importId, at.lineNumber);
    return { importId, isFinished, counts };
  } finally {
    await pages.return(undefined);
  }
}

/** The next page is read while one is written; what goes wrong with it is told when it is asked for. */
function readAhead(pages: AsyncGenerator<ImportPage>): Promise<IteratorResult<ImportPage>> {
  const following = pages.next();
  following.catch(() => undefined);
  return following;
}

interface FoundImport {
  /** Null: it begins. */
  known: OpenImport | null;
  knownFile: KnownFile;
  options: ImportOptions;
}

async function findImport({ db, cipher }: Deployment, { file, from, isDryRun }: UserImport): Promise<FoundImport> {
  const knownFile = { name: basename(file), hash: fileHash(cipher, await hashFile(file)) };
  if ('importId' in from) {
    const known = await getUnfinishedImport(db, from.importId, knownFile);
    return { known, knownFile, options: known.options };
  }
  const known = isDryRun ? null : await findUnfinishedImport(db, knownFile, from.options);
  return { known, knownFile, options: from.options };
}

/** Custom attributes whose texts have to be converted, as they are defined now. */
async function listConvertedTypes({ db }: Deployment): Promise<ConvertedTypes> {
  const definitions = await listAttributeDefinitions(db, 'USER');
  return new Map(
    definitions.flatMap(({ name, type }) =>
      type === 'BOOLEAN' || type === 'OBJECT_LIST' ? [[name, type] as const] : [],
    ),
  );
}

function add(counts: PageCounts, { made, saved, refused, nameless }: PageCounts): void {
  counts.made += made;
  counts.saved += saved;
  counts.refused += refused;
  counts.nameless += nameless;
}
