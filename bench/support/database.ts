import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { executeStatement, withDatabase } from '../../test/support/database-server.ts';
import { makeTemporaryDirectory } from '../../test/support/temporary-directory.ts';

/** A migrated database that is the bench's own. Leaving its scope drops it. */
export interface BenchDatabase extends AsyncDisposable {
  url: string;
}

/** Makes the database, on the server of `DATABASE_URL`, else on an embedded one. */
export async function makeDatabase(): Promise<BenchDatabase> {
  const server = await openServer();
  const name = `carillon_bench_${randomBytes(4).toString('hex')}`;
  await executeStatement(server.url, `create database ${name}`);
  const url = withDatabase(server.url, name);
  await migrate(url);
  return {
    url,
    async [Symbol.asyncDispose]() {
      await executeStatement(server.url, `drop database ${name} with (force)`);
      await server.close();
    },
  };
}

async function openServer(): Promise<{ url: string; close(): Promise<void> }> {
  const { DATABASE_URL: url } = process.env;
  if (url) return { url, close: async () => undefined };
  const directory = await makeTemporaryDirectory();
  const password = randomBytes(16).toString('hex');
  const server = await startEmbeddedPostgres({ directory: join(directory.path, 'postgres'), password });
  return {
    url: server.url,
    async close() {
      await server.stop();
      await directory.remove();
    },
  };
}
