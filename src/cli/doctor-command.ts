import type { Command } from 'commander';
import type pg from 'pg';
import { type Config, listUnreachable, readConfig } from '../config.ts';
import { StartupError } from '../errors.ts';
import { createLogger } from '../logger.ts';
import { openBus } from '../open-bus.ts';
import { listWaitingJobs } from '../queue/waiting-jobs.ts';
import { createCipher } from '../storage/cipher.ts';
import { type Database, openStorage } from '../storage/database.ts';
import { isEncryptionKeyOf } from '../storage/deployment-secrets.ts';
import { explainDatabaseError } from '../storage/explain-database-error.ts';
import { findPendingMigrations } from './find-pending-migrations.ts';
import { type FoundPlace, withPlace } from './open-deployment.ts';
import { say } from './output.ts';

/** What one look found, as a sentence; when something is wrong, with what to do. Never a secret. */
interface Finding {
  isFine: boolean;
  sentence: string;
}

const fine = (sentence: string): Finding => ({ isFine: true, sentence });
const wrong = (sentence: string): Finding => ({ isFine: false, sentence });

/** The oldest Node that runs this program, as package.json says. */
const oldestNode = [22, 18] as const;

/** How long a job may wait for a worker. @default 60 // seconds */
const lagSecondsMax = 60;

/** `carillon doctor`. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('look whether everything is there that the program needs; exits with 1 when something is wrong')
    .action(async () => {
      for await (const { isFine, sentence } of examine()) {
        say(`${isFine ? '✓' : '✗'} ${sentence}`);
        if (!isFine) process.exitCode = 1;
      }
    });
}

async function* examine(): AsyncGenerator<Finding> {
  yield examineNode(process.versions.node);
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    yield* toWrong(error);
    return;
  }
  yield fine('The settings can be read.');
  yield* listUnreachable(config).map(wrong);
  try {
    yield* await withPlace(config, {}, (place) => examinePlace(config, place));
  } catch (error) {
    yield* toWrong(error);
  }
}

/** What an operator can do something about; anything else is thrown on. */
function toWrong(error: unknown): Finding[] {
  if (!(error instanceof StartupError)) throw error;
  return error.message.split('\n').map(wrong);
}

/** Whether this Node is new enough. */
function examineNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isNew = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
  if (isNew) return fine(`Node is ${version}.`);
  return wrong(
    `Node is ${version}, and ${oldestNode.join('.')} or later is needed: run "npm ci", or install a newer one.`,
  );
}

async function examinePlace(config: Config, { url, description, encryptionKey }: FoundPlace): Promise<Finding[]> {
  const { db, pool, close } = openStorage(url, { connectionsMax: 2 });
  try {
    const { rows } = await pool.query<{ version: string; number: number }>(
      `select current_setting('server_version') as version, current_setting('server_version_num')::int as number`,
    );
    const [{ version, number } = { version: 'unknown', number: 0 }] = rows;
    const isNew = number >= 150_000;
    const database = `The database (${description}) answers: PostgreSQL ${version}`;
    const found = [isNew ? fine(`${database}.`) : wrong(`${database}, and 15 or later is needed.`)];
    const pending = await findPendingMigrations(pool);
    if (pending.length > 0) {
      return [...found, wrong(`The database lacks ${pending.length} migrations: run "carillon migrate".`)];
    }
    found.push(fine('The database has all migrations.'));
    found.push(await examineEncryptionKey(db, encryptionKey), await examineRedis(config, db));
    return [...found, await examineKeys(db), await examineWorker(pool)];
  } catch (error) {
    throw error instanceof StartupError ? error : explainDatabaseError(error, url);
  } finally {
    await close();
  }
}

async function examineEncryptionKey(db: Database, key: Buffer): Promise<Finding> {
  const isOfDatabase = await isEncryptionKeyOf(db, createCipher(key));
  if (isOfDatabase === null) return wrong('No encryption key was used yet: start the program once.');
  if (isOfDatabase) return fine('The encryption key is the one that the database was written with.');
  return wrong(
    'The encryption key is not the one that the database was written with: set DATA_ENCRYPTION_KEY to that.',
  );
}

async function examineRedis(config: Config, db: Database): Promise<Finding> {
  if (config.redisUrl === null) return fine('Redis is not set: processes hear of each other by polling.');
  try {
    const log = createLogger({ level: 'silent', stream: process.stderr });
    const bus = await openBus(config, db, log);
    await bus.close();
    return fine('Redis answers.');
  } catch (error) {
    const [finding] = toWrong(error);
    return finding ?? wrong('Redis does not answer.');
  }
}

async function examineKeys(db: Database): Promise<Finding> {
  const count = await db.apiKey.count({ where: { kind: 'SERVER', revokedAt: null } });
  if (count > 0) return fine(`Server keys in force: ${count}.`);
  return wrong('No server key is in force: make one by "carillon keys create --kind server --name <name>".');
}

async function examineWorker(pool: pg.Pool): Promise<Finding> {
  const { rows } = await pool.query<{ isThere: boolean }>(
    `select to_regclass('graphile_worker.jobs') is not null as "isThere"`,
  );
  if (!rows[0]?.isThere) return wrong('There is no job queue: run "carillon migrate".');
  const jobs = await listWaitingJobs(pool);
  const seconds = Math.round(Math.max(0, ...jobs.map(({ lagSeconds }) => lagSeconds)));
  if (seconds <= lagSecondsMax) return fine('No job waits for a worker for long.');
  return wrong(
    `The oldest job has been waiting for ${seconds} s: start a worker (ROLE=worker or all), or another one.`,
  );
}
