import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { FileApp, testConfig, urlOf } from './app.ts';
import { type FileDatabase, useDatabase } from './database.ts';
import { closeIdleConnections } from './post-json.ts';

/** Two gateways over one database. The clients are the first one's. */
export class Gateways extends FileApp {
  readonly #started: readonly App[];

  constructor(database: FileDatabase, started: readonly App[]) {
    super(database, () => urlOf(started[0]));
    this.#started = started;
  }

  /** Of both, the first one first. */
  get urls(): readonly [string, string] {
    return [urlOf(this.#started[0]), urlOf(this.#started[1])];
  }
}

/**
 * Gives the test file that calls it, once and at its top level, two gateways over a database of its own, without Redis and
 * without a worker: they hear of each other by polling, as often as they do for users.
 */
export function useGateways(): Gateways {
  const database = useDatabase();
  const started: App[] = [];
  beforeAll(async () => {
    const config = testConfig(database.url, { role: 'gateway', dataEncryptionKey: randomBytes(32) });
    for (let count = 0; count < 2; count += 1) started.push(await startApp(config));
  });
  afterAll(async () => {
    closeIdleConnections();
    for (const gateway of started.splice(0)) await gateway.stop();
  });
  return new Gateways(database, started);
}
