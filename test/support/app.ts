import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import type { Config } from '../../src/config.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { type Client, createClient } from './client.ts';
import { type FileDatabase, useDatabase } from './database.ts';

/** Keys of the programs that tests start. */
export const testKeys = { serverKey: 'server-key-of-the-tests', appKey: 'app-key-of-the-tests' } as const;

/** Settings of a program over a server database: all channels go to the outbox. */
export function testConfig(databaseUrl: string, settings: Partial<Config> = {}): Config {
  return {
    environment: 'development',
    role: 'all',
    host: '127.0.0.1',
    port: 0,
    dataDirectory: '/dev/null/unused',
    databaseUrl,
    redisUrl: null,
    dataEncryptionKey: randomBytes(32),
    eventRetentionDays: 30,
    ...testKeys,
    isOutboxAllowed: true,
    arePrivateEndpointsAllowed: true,
    smtp: null,
    vapid: { subject: 'mailto:tests@example.com', publicKey: null, privateKey: null },
    infobip: null,
    ...settings,
  };
}

/** What `useApp` gives: readable from the first `beforeAll` on. */
export interface FileApp extends Pick<FileDatabase, 'db' | 'pool'> {
  readonly url: string;
  /** With the server key. */
  readonly server: Client;
  /** With the publishable key. */
  readonly app: Client;
  readonly nobody: Client;
}

/** Gives the test file that calls it, once and at its top level, a running program over a database of its own. */
export function useApp(settings: Partial<Config> = {}, options: WorkerOptions = {}): FileApp {
  const database = useDatabase();
  let app: (App & { url: string }) | null = null;

  beforeAll(async () => {
    const started = await startApp(testConfig(database.url, settings), options);
    if (started.url === null) throw new Error('The program serves no HTTP.');
    app = { ...started, url: started.url };
  });
  afterAll(async () => {
    await app?.stop();
  });

  const client = (secret: string | null) => {
    if (!app) throw new Error('The program runs from the first beforeAll on.');
    return createClient(app.url, secret);
  };
  return {
    get url() {
      if (!app) throw new Error('The program runs from the first beforeAll on.');
      return app.url;
    },
    get db() {
      return database.db;
    },
    get pool() {
      return database.pool;
    },
    get server() {
      return client(testKeys.serverKey);
    },
    get app() {
      return client(testKeys.appKey);
    },
    get nobody() {
      return client(null);
    },
  };
}
