import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { writeTypedDocuments } from '../../codegen.ts';
import { createLogger } from '../../src/logger.ts';
import { prepareQueue } from '../../src/queue/job-runner.ts';
import { openStorage } from '../../src/storage/database.ts';
import { startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { dropDatabases, executeStatement, withDatabase } from './database-server.ts';
import { keepCompiledCode } from './program-environment.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL server where tests may create databases; this database of it is not a test's own. */
    databaseServerUrl: string;
    /** How the names of this run's databases begin. */
    databasePrefix: string;
    /** Name of an empty database to clone, with the program's tables and the queue's. */
    databaseTemplate: string;
    /** Whether the databases are still there after the run, for a look at a failure. */
    isDatabaseServerKept: boolean;
  }
}

const opened = new AsyncDisposableStack();

/**
 * The typed documents of the tests, one PostgreSQL server for the whole run (`DATABASE_URL`, else an embedded one) with one
 * migrated database to clone, and the compiled code of the programs that tests start.
 */
export async function setup(project: TestProject): Promise<void> {
  await writeTypedDocuments();
  const directory = await makeTemporaryDirectory();
  opened.defer(directory.remove);
  // Nobody waits for it: a program that is started before compiles for itself. Where it cannot be loaded, its tests say so.
  const compiling = keepCompiledCode(join(directory.path, 'compiled')).catch(() => undefined);
  opened.defer(() => compiling);
  const server = await openServer(join(directory.path, 'postgres'));
  opened.defer(server.close);
  const prefix = `carillon_test_${randomBytes(4).toString('hex')}`;
  if (server.isKept) opened.defer(() => dropDatabases(server.url, prefix));
  const template = `${prefix}_template`;
  await executeStatement(server.url, `create database ${template}`);
  await prepareTemplate(withDatabase(server.url, template));
  project.provide('databaseServerUrl', server.url);
  project.provide('databasePrefix', prefix);
  project.provide('databaseTemplate', template);
  project.provide('isDatabaseServerKept', server.isKept);
}

/** Stops what `setup` started. */
export async function teardown(): Promise<void> {
  await opened.disposeAsync();
}

async function prepareTemplate(url: string): Promise<void> {
  await migrate(url);
  const storage = openStorage(url);
  await prepareQueue(storage.pool, createLogger());
  await storage.close();
}

/** @param directory of an embedded one. */
async function openServer(directory: string): Promise<{ url: string; isKept: boolean; close(): Promise<void> }> {
  const { DATABASE_URL: url } = process.env;
  if (url) return { url, isKept: true, close: async () => undefined };
  const server = await startEmbeddedPostgres({
    directory,
    password: randomBytes(16).toString('hex'),
    // Nothing of it outlives the run.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
  });
  return { url: server.url, isKept: false, close: server.stop };
}
