import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { startNetwork } from './network.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';

/** A PostgreSQL that can be restarted under those who use it. */
export interface RestartablePostgres {
  url: string;
  /** Ends all connections and starts the server again. Resolves when it takes connections. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a server of the test's own, at an address that stays the same. */
export async function startRestartablePostgres(): Promise<RestartablePostgres> {
  const directory = await makeTemporaryDirectory();
  const options = {
    directory: join(directory.path, 'postgres'),
    password: randomBytes(16).toString('hex'),
    // Nothing of it outlives the test.
    settings: { fsync: 'off' },
  };
  let server = await startEmbeddedPostgres(options);
  const network = await startNetwork(Number(new URL(server.url).port));
  const url = new URL(server.url);
  url.port = String(network.port);
  return {
    url: url.href,
    async restart() {
      await server.stop();
      server = await startEmbeddedPostgres(options);
      network.redirect(Number(new URL(server.url).port));
    },
    async close() {
      await network.stop();
      await server.stop();
      await directory.remove();
    },
  };
}
