import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import type { Config } from '../../src/config.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { FileClients, testConfig, urlOf } from './app.ts';
import { type FileDatabase, useDatabase } from './database.ts';
import { closeIdleConnections } from './post-json.ts';

/** A gateway over a database of the file's own, and workers that come and go. */
export class GatewayAndWorker extends FileClients {
  readonly #database: FileDatabase;
  readonly #workers: App[];
  /** As every program of the file has it. */
  readonly dataEncryptionKey = randomBytes(32);

  constructor(database: FileDatabase, gatewayUrl: () => string, workers: App[]) {
    super(database, gatewayUrl);
    this.#database = database;
    this.#workers = workers;
  }

  /** The database's. */
  get url(): string {
    return this.#database.url;
  }

  get storage(): FileDatabase['storage'] {
    return this.#database.storage;
  }

  /** Starts a worker, which is stopped after the test. Until then nothing is fanned out or sent. */
  async startWorker(settings: Partial<Config> = {}, options: WorkerOptions = {}): Promise<App> {
    const { dataEncryptionKey } = this;
    const config = testConfig(this.url, { role: 'worker', dataEncryptionKey, ...settings });
    const worker = await startApp(config, { sweepMs: 100, ...options });
    this.#workers.push(worker);
    return worker;
  }
}

/**
 * Gives the test file that calls it, once and at its top level, a gateway without a worker, so that a test can do
 * something between the call and the fan-out, or between the fan-out and the send.
 */
export function useGatewayAndWorker(): GatewayAndWorker {
  const database = useDatabase();
  const workers: App[] = [];
  let gateway: App | null = null;
  const programs = new GatewayAndWorker(database, () => urlOf(gateway), workers);

  beforeAll(async () => {
    const { dataEncryptionKey } = programs;
    gateway = await startApp(testConfig(database.url, { role: 'gateway', dataEncryptionKey }));
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.stop();
  });
  afterAll(async () => {
    closeIdleConnections();
    await gateway?.stop();
    gateway = null;
  });
  return programs;
}
