import { join } from 'node:path';
import type pg from 'pg';
import type { Config } from '../config.ts';
import type { Deployment } from '../deployment.ts';
import { StartupError } from '../errors.ts';
import { createLogger } from '../logger.ts';
import { openPlace, type Place } from '../open-place.ts';
import { createCipher } from '../storage/cipher.ts';
import { lookIntoDataDirectory } from '../storage/data-directory.ts';
import { openStorage } from '../storage/database.ts';
import { checkEncryptionKey } from '../storage/deployment-secrets.ts';
import { findRunningPostgres } from '../storage/embedded-postgres.ts';
import { explainDatabaseError } from '../storage/explain-database-error.ts';
import { createInProcessBus } from '../stream/bus/in-process-bus.ts';
import { findPendingMigrations } from './find-pending-migrations.ts';

/** Where the database is, and who keeps it running. */
export type FoundPlace = Pick<Place, 'url' | 'encryptionKey'> & { description: string };

/** What was opened, last first: the order in which it is closed. */
type Closers = (() => Promise<unknown>)[];

/**
 * The database that `config` describes: a server's; the embedded one of the program that is running; or the embedded one,
 * started for as long as `use` takes. Without `mayCreate` an embedded one must have been made before.
 *
 * @throws StartupError, and what `use` throws.
 */
export async function withPlace<Result>(
  config: Config,
  { mayCreate = false }: { mayCreate?: boolean },
  use: (place: FoundPlace) => Promise<Result>,
): Promise<Result> {
  const closers: Closers = [];
  try {
    return await use(await findPlace(config, mayCreate, closers));
  } finally {
    for (const close of closers) await close();
  }
}

async function findPlace(config: Config, mayCreate: boolean, closers: Closers): Promise<FoundPlace> {
  if (config.databaseUrl !== null) return { ...(await openPlace(config, closers)), description: 'of DATABASE_URL' };
  const content = await lookIntoDataDirectory(config.dataDirectory);
  if (!content && !mayCreate) {
    throw new StartupError(
      `There is no database in ${config.dataDirectory} yet; start the program, run "carillon migrate", or set DATABASE_URL or DATA_DIR.`,
    );
  }
  if (!content || content.holder === null) {
    return { ...(await openPlace(config, closers)), description: 'embedded, started for this command' };
  }
  const { path, keys, holder } = content;
  const url = await findRunningPostgres({ directory: join(path, 'postgres'), password: keys.databasePassword });
  if (url === null) {
    throw new StartupError(
      `The data directory ${path} is in use by process ${holder}, whose PostgreSQL accepts no connections; try again when it has started or stopped.`,
    );
  }
  const encryptionKey = config.dataEncryptionKey ?? Buffer.from(keys.dataEncryptionKey, 'base64');
  return { url, encryptionKey, description: `embedded, of the running process ${holder}` };
}

/** What an operator's command works on. */
export type OperatorDeployment = Deployment & { pool: pg.Pool };

/**
 * Opens the deployment for one command. Its database must have this program's schema, and its encryption key. Running
 * processes hear of what is written by polling, within a second: so it can be written while Redis is away.
 *
 * @throws StartupError, and what `use` throws.
 */
export async function withDeployment<Result>(
  config: Config,
  use: (deployment: OperatorDeployment) => Promise<Result>,
): Promise<Result> {
  return withPlace(config, {}, async ({ url, encryptionKey }) => {
    const { db, pool, close } = openStorage(url, { connectionsMax: 4 });
    const bus = createInProcessBus();
    try {
      const pending = await explaining(url, () => findPendingMigrations(pool));
      if (pending.length > 0) {
        throw new StartupError(`The database lacks ${pending.length} migrations; run "carillon migrate" first.`);
      }
      const cipher = createCipher(encryptionKey);
      await checkEncryptionKey(db, cipher);
      return await use({
        db,
        pool,
        bus,
        cipher,
        rules: config.rules,
        publicUrl: config.publicUrl,
        log: createLogger({ level: 'warn', stream: process.stderr }),
      });
    } finally {
      await bus.close();
      await close();
    }
  });
}

/** Runs what can stop in good order: its signal is aborted when the program is first asked to end. */
export async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  // Before others, who would end the embedded database.
  for (const name of signals) process.prependOnceListener(name, abort);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of signals) process.off(name, abort);
  }
}

/** Runs what reaches the database for the first time. @throws StartupError that says why it cannot be reached. */
export async function explaining<Result>(url: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StartupError ? error : explainDatabaseError(error, url);
  }
}
