import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { type Config, readConfig } from '../../src/config.ts';
import type { IdentityRules } from '../../src/deployment.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { type Client, createClient } from './client.ts';
import { type FileDatabase, useDatabase } from './database.ts';
import { closeIdleConnections } from './post-json.ts';

/** Keys of the programs that tests start. */
export const testKeys = { serverKey: 'server-key-of-the-tests', appKey: 'app-key-of-the-tests' } as const;

/** What is decided of identity where an operator decides nothing. */
export const testRules: IdentityRules = readConfig({}).rules;

/** Settings of a program over a server database: all channels go to the outbox. */
export function testConfig(databaseUrl: string, settings: Partial<Config> = {}): Config {
  return {
    environment: 'development',
    role: 'all',
    host: '127.0.0.1',
    port: 0,
    metricsPort: null,
    traces: null,
    dataDirectory: '/dev/null/unused',
    databaseUrl,
    redisUrl: null,
    publicUrl: null,
    callbackUrl: null,
    trustedProxies: [],
    dataEncryptionKey: randomBytes(32),
    eventRetentionDays: 30,
    trackedEventRetentionDays: 400,
    rules: testRules,
    ...testKeys,
    isOutboxAllowed: true,
    twilioAuthToken: null,
    arePrivateEndpointsAllowed: true,
    arePrivateWebhooksAllowed: true,
    smtp: null,
    fcm: null,
    apns: null,
    vapid: { subject: 'mailto:tests@example.com', publicKey: null, privateKey: null },
    infobip: null,
    twilio: null,
    smpp: null,
    whatsApp: null,
    ratesPerSecond: {},
    ...settings,
  };
}

/** Callers of a program of a test file, and its database: readable from the first `beforeAll` on. */
export class FileClients {
  readonly #database: FileDatabase;
  readonly #gatewayUrl: () => string;

  /** @param gatewayUrl throws until the program runs. */
  constructor(database: FileDatabase, gatewayUrl: () => string) {
    this.#database = database;
    this.#gatewayUrl = gatewayUrl;
  }

  get db(): FileDatabase['db'] {
    return this.#database.db;
  }

  get pool(): FileDatabase['pool'] {
    return this.#database.pool;
  }

  /** With the server key. */
  get server(): Client {
    return createClient(this.#gatewayUrl(), testKeys.serverKey);
  }

  /** With the publishable key. */
  get app(): Client {
    return createClient(this.#gatewayUrl(), testKeys.appKey);
  }

  get nobody(): Client {
    return createClient(this.#gatewayUrl(), null);
  }
}

/** Where a program answers. @throws before the first `beforeAll`, and for one that serves no HTTP. */
export function urlOf(app: App | null | undefined): string {
  if (!app?.url) throw new Error('The program runs from the first beforeAll on.');
  return app.url;
}

/** What `useApp` gives. */
export class FileApp extends FileClients {
  readonly #url: () => string;

  constructor(database: FileDatabase, url: () => string) {
    super(database, url);
    this.#url = url;
  }

  get url(): string {
    return this.#url();
  }
}

/** Gives the test file that calls it, once and at its top level, a running program over a database of its own. */
export function useApp(settings: Partial<Config> = {}, options: WorkerOptions = {}): FileApp {
  const database = useDatabase();
  let app: App | null = null;

  beforeAll(async () => {
    app = await startApp(testConfig(database.url, settings), options);
  });
  afterAll(async () => {
    closeIdleConnections();
    await app?.stop();
    // The file's own modules stay in memory until the end of the run: they are not to hold what it had running.
    app = null;
  });
  return new FileApp(database, () => urlOf(app));
}
