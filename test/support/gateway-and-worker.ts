import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import type { Config } from '../../src/config.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { testConfig, testKeys } from './app.ts';
import { type Client, createClient } from './client.ts';
import { type FileDatabase, useDatabase } from './database.ts';

/** A gateway over a database of the file's own, and workers that come and go. */
export interface GatewayAndWorker extends Pick<FileDatabase, 'db' | 'pool' | 'storage' | 'url'> {
  readonly server: Client;
  readonly app: Client;
  readonly nobody: Client;
  /** As every program of the file has it. */
  readonly dataEncryptionKey: Buffer;
  /** Starts a worker, which is stopped after the test. Until then nothing is fanned out or sent. */
  startWorker(settings?: Partial<Config>, options?: WorkerOptions): Promise<App>;
}

/**
 * Gives the test file that calls it, once and at its top level, a gateway without a worker, so that a test can do
 * something between the call and the fan-out, or between the fan-out and the send.
 */
export function useGatewayAndWorker(): GatewayAndWorker {
  const database = useDatabase();
  const dataEncryptionKey = randomBytes(32);
  const workers: App[] = [];
  let gateway: App | null = null;

  beforeAll(async () => {
    gateway = await startApp(testConfig(database.url, { role: 'gateway', dataEncryptionKey }));
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.stop();
  });
  afterAll(async () => {
    await gateway?.stop();
  });

  const client = (secret: string | null) => {
    if (!gateway?.url) throw new Error('The gateway runs from the first beforeAll on.');
    return createClient(gateway.url, secret);
  };
  return {
    dataEncryptionKey,
    get url() {
      return database.url;
    },
    get db() {
      return database.db;
    },
    get pool() {
      return database.pool;
    },
    get storage() {
      return database.storage;
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
    async startWorker(settings = {}, options = {}) {
      const worker = await startApp(testConfig(database.url, { role: 'worker', dataEncryptionKey, ...settings }), {
        sweepMs: 100,
        ...options,
      });
      workers.push(worker);
      return worker;
    },
  };
}
