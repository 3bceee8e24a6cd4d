import { join } from 'node:path';
import { newSecret } from './apps/api-key.ts';
import type { Config } from './config.ts';
import { openDataDirectory } from './storage/data-directory.ts';
import { startEmbeddedPostgres } from './storage/embedded-postgres.ts';

/** Where the data is, and the keys that go with it. */
export interface Place {
  url: string;
  encryptionKey: Buffer;
  firstKeys: { serverKey: string | null; appKey: string | null };
  /** Null: the database is a server's, and nothing is kept here. */
  keysFile: string | null;
}

/** What was opened, last first: the order in which it is closed. */
type Closers = (() => Promise<unknown>)[];

/**
 * The database that `config` describes. An embedded one is started, for this process alone, and stopped by `closers`.
 *
 * @throws StartupError when another process has the data directory, or PostgreSQL cannot run here.
 */
export async function openPlace(config: Config, closers: Closers): Promise<Place> {
  return config.databaseUrl === null ? openEmbedded(config, closers) : toServer(config, config.databaseUrl);
}

async function openEmbedded(config: Config, closers: Closers): Promise<Place> {
  const directory = await openDataDirectory(config.dataDirectory);
  closers.unshift(directory.close);
  const keys = await directory.readKeys({
    serverKey: config.serverKey === null ? newSecret('SERVER') : null,
    appKey: config.appKey === null ? newSecret('APP') : null,
  });
  const postgres = await startEmbeddedPostgres({
    directory: join(directory.path, 'postgres'),
    password: keys.databasePassword,
  });
  closers.unshift(postgres.stop);
  return {
    url: postgres.url,
    encryptionKey: config.dataEncryptionKey ?? Buffer.from(keys.dataEncryptionKey, 'base64'),
    firstKeys: { serverKey: config.serverKey ?? keys.serverKey, appKey: config.appKey ?? keys.appKey },
    keysFile: directory.keysFile,
  };
}

function toServer({ dataEncryptionKey, serverKey, appKey }: Config, url: string): Place {
  // readConfig has seen to it.
  if (dataEncryptionKey === null) throw new Error('A server database needs an encryption key.');
  return { url, encryptionKey: dataEncryptionKey, firstKeys: { serverKey, appKey }, keysFile: null };
}
