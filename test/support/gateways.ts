import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { type FileApp, testConfig, testKeys } from './app.ts';
import { createClient } from './client.ts';
import { useDatabase } from './database.ts';

/** Two gateways over one database. The clients are the first one's. */
export interface Gateways extends FileApp {
  /** Of both, the first one first. */
  readonly urls: readonly [string, string];
}

/**
 * Gives the test file that calls it, once and at its top level, two gateways over a database of its own, without Redis and without a worker:
 * they hear of each other by polling, as often as they do for users.
 */
export function useGateways(): Gateways {
  const database = useDatabase();
  const started: App[] = [];
  beforeAll(async () => {
    const config = testConfig(database.url, { role: 'gateway', dataEncryptionKey: randomBytes(32) });
    for (let count = 0; count < 2; count += 1) started.push(await startApp(config));
  });
  afterAll(async () => {
    for (const gateway of started) await gateway.stop();
  });

  const urlOf = (gateway: App | undefined) => {
    if (!gateway?.url) throw new Error('The gateways run from the first beforeAll on.');
    return gateway.url;
  };
  const client = (secret: string | null) => createClient(urlOf(started[0]), secret);
  return {
    get urls() {
      return [urlOf(started[0]), urlOf(started[1])] as const;
    },
    get url() {
      return urlOf(started[0]);
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
