import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { readConfig } from '../config.ts';
import { DomainError, StartupError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { formatOf, type ImportOptions } from '../imports/import-options.ts';
import { getImport, listRefusals } from '../imports/import-store.ts';
import { importUsers, type UserImport, type UsersImported } from '../imports/import-users.ts';
import { type Mapping, parseMapping } from '../imports/mapping.ts';
import type { OperatorDeployment } from './open-deployment.ts';
import { interruptible, withDeployment } from './open-deployment.ts';
import { say, tell } from './output.ts';
import { openProgress } from './progress.ts';

/** Options of `carillon import users`. */
export interface ImportFileOptions {
  format?: ImportOptions['format'];
  delimiter: string;
  preset: ImportOptions['preset'];
  mapping?: string;
  mode: 'merge' | 'override';
  ignoreUnknownColumns?: true;
  dryRun?: true;
  report?: string;
  resume?: string;
}

/** `carillon import users`. */
export async function importFile(file: string, options: ImportFileOptions): Promise<void> {
  const from = options.resume === undefined ? { options: await readOptions(file, options) } : toResume(options.resume);
  const size = await explainingFile(file, async () => (await stat(file)).size);
  const report = options.report === undefined ? null : await openReport(options.report);
  try {
    await withDeployment(readConfig(), async (deployment) => {
      const run = { file, from, isDryRun: options.dryRun === true, report };
      const done = await interruptible((signal) => importWithProgress(deployment, { ...run, size, signal }));
      await conclude(deployment, done, report);
    });
  } finally {
    await report?.close();
  }
}

interface Run extends Required<Pick<UserImport, 'file' | 'from' | 'isDryRun' | 'signal'>> {
  size: number;
  report: FileHandle | null;
}

async function importWithProgress(
  deployment: OperatorDeployment,
  { size, report, ...run }: Run,
): Promise<UsersImported> {
  // How long a packed file is, nobody knows before its end.
  const progress = openProgress(run.file.endsWith('.gz') ? null : size);
  const done = await explainingFile(run.file, () =>
    importUsers(deployment, {
      ...run,
      onBegin({ importId, at }) {
        if (importId !== null) say(importId);
        if (at.lineNumber > 0) tell(`Goes on after line ${at.lineNumber}.`);
      },
      async onPage({ at, counts, refusals }) {
        progress.show(at.byteOffset, `${counts.saved} saved, ${counts.refused} refused`);
        // Of what is written the database tells all, also what an interrupted run has refused.
        if (run.isDryRun) await report?.appendFile(toNdjson(refusals));
      },
    }),
  );
  progress.close();
  return done;
}

async function conclude({ db }: OperatorDeployment, done: UsersImported, report: FileHandle | null): Promise<void> {
  const { importId, isFinished, counts } = done;
  const row = importId === null ? null : await getImport(db, importId);
  const { made, saved, refused, nameless } = row
    ? { made: row.madeCount, saved: row.savedCount, refused: row.refusedCount, nameless: row.namelessCount }
    : counts;
  const would = row ? '' : ' A dry run: nothing was written.';
  tell(`${saved} records saved, ${made} of them new users; ${refused} refused; ${nameless} name nobody.${would}`);
  if (importId !== null && report) {
    for await (const page of listRefusals(db, importId)) await report.appendFile(toNdjson(page));
  }
  if (importId !== null && refused > 0 && !report)
    tell(`"carillon import report ${importId}" says what was refused, and why.`);
  if (!isFinished) tell(`Stopped after line ${row?.lineNumber ?? 0}; the same command goes on.`);
  if (refused > 0 || !isFinished) process.exitCode = 1;
}

function toNdjson(lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

async function readOptions(file: string, options: ImportFileOptions): Promise<ImportOptions> {
  const { delimiter, preset, mode, ignoreUnknownColumns = false } = options;
  const format = options.format ?? formatOf(file);
  if (format === null) throw new StartupError('The name of the file does not say its format: give --format.');
  const mapping = options.mapping === undefined ? null : await readMapping(options.mapping);
  return {
    ...{ format, delimiter, preset, mapping, ignoreUnknownColumns },
    mode: mode === 'override' ? 'OVERRIDE' : 'MERGE',
  };
}

async function readMapping(file: string): Promise<Mapping> {
  const text = await explainingFile(file, () => readFile(file, 'utf8'));
  try {
    return parseMapping(text);
  } catch (error) {
    if (error instanceof DomainError) throw new StartupError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

function toResume(importId: string): { importId: string } {
  if (isUuid(importId)) return { importId };
  throw new StartupError(`${JSON.stringify(importId)} is no id of an import; see "carillon import list".`);
}

function openReport(file: string): Promise<FileHandle> {
  // What was refused tells of people, if little.
  return explainingFile(file, () => open(file, 'w', 0o600));
}

/** @throws StartupError where the file system refuses. */
async function explainingFile<Result>(file: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error) || !('path' in error) || !('code' in error)) throw error;
    throw new StartupError(`The file ${file} cannot be used (${String(error.code)}).`, { cause: error });
  }
}
