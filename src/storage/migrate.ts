import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { StartupError } from '../errors.ts';
import { explainDatabaseError } from './explain-database-error.ts';

const shippedMigrations = fileURLToPath(new URL('../../prisma/migrations/', import.meta.url));

/** Oldest PostgreSQL that the SQL of this program is written for, as `server_version_num` counts. */
const oldestServerVersion = 150_000;

/** The advisory lock that Prisma Migrate takes (schema-engine, `sql-schema-connector`): it and we never migrate at once. */
const prismaMigrateLock = 72_707_369;

/** How long to wait for another process that is migrating. */
const lockTimeoutMs = 300_000; // 5 minutes

/** Column by column what `prisma migrate deploy` creates, so that either can go on where the other has stopped. */
const createHistory = `
  create table if not exists _prisma_migrations (
    id                  varchar(36) primary key not null,
    checksum            varchar(64) not null,
    finished_at         timestamptz,
    migration_name      varchar(255) not null,
    logs                text,
    rolled_back_at      timestamptz,
    started_at          timestamptz not null default now(),
    applied_steps_count integer not null default 0
  )`;

interface Migration {
  name: string;
  statements: string;
  checksum: string;
}

/**
 * Brings the database to this program's schema and returns the names of the migrations it applied. Safe to run twice
 * and by several processes at once: the later ones wait and find nothing left to do. Each migration is one transaction.
 *
 * `directory` holds `<name>/migration.sql`; absent: the migrations that come with the program.
 * Throws a StartupError when the server is too old or out of reach, a migration fails, or the history in the database is
 * not the beginning of this program's.
 */
export async function migrate(connectionString: string, directory = shippedMigrations): Promise<string[]> {
  const migrations = await readMigrations(directory);
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis: 10_000,
    application_name: 'carillon migrate',
  });
  // A connection that breaks also rejects the query under way; without a listener it would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await refuseOldServer(client);
    await lockHistory(client);
    await client.query(createHistory);
    const applied: string[] = [];
    for (const migration of await findPending(client, migrations)) {
      await apply(client, migration);
      applied.push(migration.name);
    }
    return applied;
  } catch (error) {
    throw error instanceof StartupError ? error : explainDatabaseError(error, connectionString);
  } finally {
    // Ends the session, and with it the advisory lock.
    await client.end();
  }
}

/** The migrations that come with the program. */
export async function listMigrations(): Promise<string[]> {
  const migrations = await readMigrations(shippedMigrations);
  return migrations.map(({ name }) => name);
}

/** Of `names`, those that the database lacks: it was restored from an older copy, or is another one. */
export async function findMissingMigrations(pool: Pick<pg.Pool, 'query'>, names: readonly string[]): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select name from unnest($1::text[]) as name
     where name not in (
       select migration_name from _prisma_migrations where finished_at is not null and rolled_back_at is null
     )`,
    [names],
  );
  return rows.map(({ name }) => name);
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const statements = await readFile(`${directory}/${name}/migration.sql`, 'utf8');
      return { name, statements, checksum: createHash('sha256').update(statements).digest('hex') };
    }),
  );
}

async function refuseOldServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ number: number; version: string }>(
    `select current_setting('server_version_num')::integer as number, current_setting('server_version') as version`,
  );
  const [server] = rows;
  if (server && server.number < oldestServerVersion) {
    throw new StartupError(`DATABASE_URL leads to PostgreSQL ${server.version}; version 15 or later is needed.`);
  }
}

async function lockHistory(client: pg.Client): Promise<void> {
  await client.query(`set lock_timeout = ${lockTimeoutMs}`);
  try {
    await client.query('select pg_advisory_lock($1)', [prismaMigrateLock]);
  } catch (error) {
    // 55P03 lock_not_available: the timeout has passed.
    if (!(error instanceof pg.DatabaseError) || error.code !== '55P03') throw error;
    throw new StartupError('Another process has been migrating the database for 5 minutes; see what it waits for.', {
      cause: error,
    });
  }
}

/** What is left to apply, after checking that what was applied is a part of what this program knows. */
async function findPending(client: pg.Client, migrations: Migration[]): Promise<Migration[]> {
  const { rows } = await client.query<{ name: string; checksum: string; isFinished: boolean }>(
    `select migration_name as name, checksum, finished_at is not null as "isFinished"
     from _prisma_migrations
     where rolled_back_at is null
     order by migration_name`,
  );
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const row of rows) {
    const migration = known.get(row.name);
    if (!migration) {
      throw new StartupError(
        `The database was migrated by a newer version of this program (${row.name} is unknown here); start that version.`,
      );
    }
    if (!row.isFinished) {
      throw new StartupError(
        `Migration ${row.name} was begun by other means and did not finish; repair it with "prisma migrate resolve".`,
      );
    }
    if (migration.checksum !== row.checksum) {
      throw new StartupError(
        `The file of migration ${row.name} is not the one that was applied to the database; restore it, and make a new migration for the change.`,
      );
    }
  }
  const applied = new Set(rows.map((row) => row.name));
  return migrations.filter((migration) => !applied.has(migration.name));
}

async function apply(client: pg.Client, { name, statements, checksum }: Migration): Promise<void> {
  await client.query('begin');
  try {
    await client.query(statements);
    await client.query(
      `insert into _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       values ($1, $2, $3, transaction_timestamp(), clock_timestamp(), 1)`,
      [randomUUID(), checksum, name],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined); // The session may be gone; then nothing was committed either.
    if (!(error instanceof pg.DatabaseError)) throw error;
    throw new StartupError(`Migration ${name} failed, and nothing of it was applied: ${error.message}.`, {
      cause: error,
    });
  }
}
