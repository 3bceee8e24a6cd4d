import { type Command, InvalidArgumentError, Option } from 'commander';
import { readConfig } from '../config.ts';
import { StartupError } from '../errors.ts';
import type { Import } from '../generated/prisma/client.ts';
import { isUuid } from '../ids.ts';
import { type LeftReason, leftReasonNames } from '../imports/decide-undo.ts';
import { getImport, listRefusals } from '../imports/import-store.ts';
import { undoImport } from '../imports/undo-import.ts';
import { importFile } from './import-file.ts';
import { interruptible, withDeployment } from './open-deployment.ts';
import { say, tell } from './output.ts';
import { openProgress } from './progress.ts';

/** `carillon import`. */
export function addImportCommand(program: Command): void {
  const imports = program.command('import').description('import users from files, and undo it');
  imports
    .command('users <file>')
    .description(
      'import the users of a CSV or NDJSON file, packed (.gz) or not; one that was interrupted goes on. The id of the import alone goes to standard output. Exits with 1 when something was refused',
    )
    .addOption(new Option('--format <format>', 'by default what the name ends in').choices(['csv', 'ndjson']))
    .option('--delimiter <character>', 'between the fields of CSV; "tab" is one', parseDelimiter, ',')
    .addOption(
      new Option('--preset <name>', 'whose columns they are').choices(['carillon', 'onesignal']).default('carillon'),
    )
    .addOption(new Option('--mapping <file>', 'JSON that says what the columns are').conflicts('preset'))
    .addOption(
      new Option('--mode <mode>', 'override: attributes that a record does not have are removed')
        .choices(['merge', 'override'])
        .default('merge'),
    )
    .option('--ignore-unknown-columns', 'leave columns out that mean nothing here')
    .option('--dry-run', 'write nothing, and say what would be refused')
    .option('--report <file>', 'where to write what was refused and why, as NDJSON')
    .addOption(
      new Option('--resume <id>', 'go on with this import, which reads the file as it did before').conflicts([
        ...['format', 'delimiter', 'preset', 'mapping', 'mode', 'ignoreUnknownColumns', 'dryRun'],
      ]),
    )
    .action(importFile);
  imports.command('list').description('list all imports, oldest first').action(list);
  imports
    .command('report <id>')
    .description('say what an import of the last 30 days has refused and why, as NDJSON')
    .action(report);
  imports
    .command('undo <id>')
    .description('remove the users that an import of the last 30 days has made, and give others back what they had')
    .action(undo);
}

function parseDelimiter(text: string): string {
  if (text === 'tab') return '\t';
  if (text.length === 1 && !/["\r\n]/.test(text)) return text;
  throw new InvalidArgumentError('It is one character, or "tab".');
}

async function list(): Promise<void> {
  await withDeployment(readConfig(), async ({ db }) => {
    say(['id', 'begun', 'state', 'lines', 'saved', 'new', 'refused', 'file'].join('\t'));
    for (const row of await db.import.findMany({ orderBy: { id: 'asc' } })) {
      const { id, createdAt, lineNumber, savedCount, madeCount, refusedCount, fileName } = row;
      const counts = [lineNumber, savedCount, madeCount, refusedCount];
      say([id, createdAt.toISOString(), stateOf(row), ...counts, fileName].join('\t'));
    }
  });
}

function stateOf({ finishedAt, undoStartedAt, undoneAt }: Import): string {
  if (undoneAt) return 'undone';
  if (undoStartedAt) return 'being undone';
  return finishedAt ? 'finished' : 'unfinished';
}

async function report(id: string): Promise<void> {
  parseImportId(id);
  await withDeployment(readConfig(), async ({ db }) => {
    await getImport(db, id);
    for await (const page of listRefusals(db, id)) for (const refusal of page) say(JSON.stringify(refusal));
  });
}

async function undo(id: string): Promise<void> {
  parseImportId(id);
  await withDeployment(readConfig(), async (deployment) => {
    const progress = openProgress(null);
    const { counts, isFinished } = await interruptible((signal) =>
      undoImport(deployment, {
        importId: id,
        signal,
        onPage: ({ userCount, leftCount }) => progress.show(0, `${userCount - leftCount} of ${userCount} users`),
      }),
    );
    progress.close();
    tell(`${counts.removed ?? 0} users are removed, ${counts.restored ?? 0} are as they were.`);
    for (const reason of leftReasonNames) {
      const count = counts[reason];
      if (count) tell(`${count} stay, or something of them does: ${leftReasons[reason]}.`);
    }
    if (isFinished) return;
    tell('The undo was stopped; the same command goes on.');
    process.exitCode = 1;
  });
}

const leftReasons: Record<LeftReason, string> = {
  MERGED: 'merged with another user',
  HAS_INSTALLATION: 'there is an installation',
  HAS_DELIVERIES: 'something was sent',
  CHANGED_SINCE: 'values or identifiers were written since',
  IN_USE: 'consent, language or region of an address were written since',
  ONLY_NAME: 'nothing else names the user',
};

function parseImportId(text: string): void {
  if (!isUuid(text))
    throw new StartupError(`${JSON.stringify(text)} is no id of an import; see "carillon import list".`);
}
