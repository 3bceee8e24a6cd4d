import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { createLogger } from '../logger.ts';
import { prepareQueue } from '../queue/job-runner.ts';
import { openStorage } from '../storage/database.ts';
import { migrate } from '../storage/migrate.ts';
import { findPendingMigrations } from './find-pending-migrations.ts';
import { explaining, withPlace } from './open-deployment.ts';
import { say, tell } from './output.ts';

/** `carillon migrate`. */
export function addMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .description('bring the database to the schema of this version; a start of the program does it too')
    .option('--status', 'only say what would be applied; exits with 1 when that is something')
    .action(async ({ status }: { status?: true }) => {
      await withPlace(readConfig(), { mayCreate: !status }, async ({ url, description }) => {
        tell(`The database is ${description}.`);
        if (status) await showStatus(url);
        else await applyAll(url);
      });
    });
}

async function showStatus(url: string): Promise<void> {
  const { pool, close } = openStorage(url, { connectionsMax: 1 });
  try {
    const pending = await explaining(url, () => findPendingMigrations(pool));
    for (const name of pending) say(name);
    tell(pending.length === 0 ? 'Nothing is pending.' : `${pending.length} pending.`);
    if (pending.length > 0) process.exitCode = 1;
  } finally {
    await close();
  }
}

async function applyAll(url: string): Promise<void> {
  const applied = await migrate(url);
  const { pool, close } = openStorage(url, { connectionsMax: 2 });
  try {
    await prepareQueue(pool, createLogger({ level: 'warn', stream: process.stderr }));
  } finally {
    await close();
  }
  for (const name of applied) say(name);
  tell(applied.length === 0 ? 'Nothing was pending.' : `${applied.length} applied.`);
}
