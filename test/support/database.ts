import { randomBytes } from 'node:crypto';
import type { Pool } from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { type Database, openStorage, type Storage } from '../../src/storage/database.ts';
import { executeStatement, keepDatabase, withDatabase } from './database-server.ts';

/** A database of a test's own. */
export interface TestDatabase {
  url: string;
  name: string;
  drop(): Promise<void>;
}

/** A new database: migrated and otherwise empty, or, with `migrated: false`, quite empty. */
export async function createTestDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const serverUrl = inject('databaseServerUrl');
  const name = `${inject('databasePrefix')}_${randomBytes(6).toString('hex')}`;
  await executeStatement(
    serverUrl,
    `create database ${name} template ${migrated ? inject('databaseTemplate') : 'template0'}`,
  );
  return {
    url: withDatabase(serverUrl, name),
    name,
    // Processes that a test killed may not have hung up yet.
    drop: () => executeStatement(serverUrl, `drop database if exists ${name} with (force)`),
  };
}

/** What `useDatabase` gives: readable from the first `beforeAll` on. */
export interface FileDatabase {
  readonly url: string;
  readonly storage: Storage;
  readonly db: Database;
  readonly pool: Pool;
}

/**
 * Gives the test file that calls it, once and at its top level, a database for all of its tests. It is dropped at the
 * end; after a failure on a server that stays (`DATABASE_URL`) it is kept, and its name printed.
 */
export function useDatabase(): FileDatabase {
  let opened: { database: TestDatabase; storage: Storage } | null = null;
  const get = () => {
    if (!opened) throw new Error('The database is there from the first beforeAll on.');
    return opened;
  };

  beforeAll(async () => {
    const database = await createTestDatabase();
    opened = { database, storage: openStorage(database.url) };
  });

  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads the fixtures that a hook wants from this pattern.
  afterAll(async ({}, suite) => {
    if (!opened) return;
    const { database, storage } = opened;
    opened = null;
    await storage.close();
    const hasFailed = suite.tasks.some((task) => task.result?.state === 'fail');
    if (hasFailed && inject('isDatabaseServerKept')) {
      await keepDatabase(inject('databaseServerUrl'), database.name);
      process.stderr.write(`The database of the failed tests is kept: ${database.name}\n`);
    } else {
      // Nobody waits for it: where the server syncs its files, it takes seconds. What is left goes at the end of the run.
      database.drop().catch(() => undefined);
    }
  });

  return {
    get url() {
      return get().database.url;
    },
    get storage() {
      return get().storage;
    },
    get db() {
      return get().storage.db;
    },
    get pool() {
      return get().storage.pool;
    },
  };
}
