import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { prepareFirstStart } from '../../src/apps/first-start.ts';
import { createDoor } from '../../src/door/door.ts';
import { createInProcessThrottle } from '../../src/door/throttle/in-process-throttle.ts';
import { schema } from '../../src/graphql/schema.ts';
import { startHttpServer } from '../../src/http/server.ts';
import { silentObserver } from '../../src/observability/observer.ts';
import { noTracing } from '../../src/observability/tracing.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { openStorage } from '../../src/storage/database.ts';
import type { Bus } from '../../src/stream/bus/bus.ts';
import { createInProcessBus } from '../../src/stream/bus/in-process-bus.ts';
import { createHub, type Hub } from '../../src/stream/hub/hub.ts';
import { FileApp, testKeys, testRules } from './app.ts';
import { type FileDatabase, useDatabase } from './database.ts';
import { createTestLog } from './log-events.ts';
import { type StatementCounter, startStatementCounter } from './statement-counter.ts';

type HubSettings = Partial<Parameters<typeof createHub>[0]>;
type DoorSettings = HubSettings & Pick<Parameters<typeof startHttpServer>[0], 'stalledMs'>;

interface OpenDoor {
  url: string;
  hub: Hub;
  bus: Bus;
  counter: StatementCounter;
  close(): Promise<void>;
}

/** A door over HTTP, SSE and WebSocket, without a worker. */
async function openDoor(databaseUrl: string, { stalledMs, ...settings }: DoorSettings): Promise<OpenDoor> {
  const counter = await startStatementCounter(databaseUrl);
  const storage = openStorage(counter.url);
  const { db, pool } = storage;
  await prepareFirstStart(db, testKeys);
  const [bus, { log }] = [createInProcessBus(), createTestLog()];
  const hub = createHub({ pool, bus, log, ...settings });
  const cipher = createCipher(randomBytes(32));
  const deployment = {
    db,
    bus,
    cipher,
    log,
    rules: testRules,
    publicUrl: null,
    hub,
    channels: { listRoutes: () => [] },
    arePrivateEndpointsAllowed: true,
    arePrivateWebhooksAllowed: true,
    webPushPublicKey: 'a',
    findConfigured: () => Promise.resolve({ channels: [], pushKinds: [], ownPushKinds: [] }),
  };
  const throttle = createInProcessThrottle();
  const door = createDoor({
    ...deployment,
    schema,
    throttle,
    observer: silentObserver,
    tracing: noTracing,
    isProduction: false,
  });
  const readiness = { look: async () => reportReady };
  const server = await startHttpServer({
    door,
    observer: silentObserver,
    isProduction: false,
    trustedProxies: [],
    log,
    host: '127.0.0.1',
    port: 0,
    readiness,
    stalledMs,
  });
  return {
    url: server.url,
    hub,
    bus,
    counter,
    async close() {
      await server.stop();
      await hub.close();
      await door.close();
      await throttle.close();
      await storage.close();
      await counter[Symbol.asyncDispose]();
    },
  };
}

const reportReady = { status: 'ready' as const, checks: {} };

const isLogRead = (statement: string) => statement.includes('delivery_log');

/** A gateway's door, whose wake-ups and statements a test has in its hands. */
export class Door extends FileApp {
  readonly #opened: () => OpenDoor;

  constructor(database: FileDatabase, opened: () => OpenDoor) {
    super(database, () => opened().url);
    this.#opened = opened;
  }

  get bus(): Bus {
    return this.#opened().bus;
  }

  get hub(): Hub {
    return this.#opened().hub;
  }

  /** SQL that the door has had executed since the last call of this or the next one, without reads of the log. */
  takeStatements(): string[] {
    const statements = this.#opened().counter.take();
    return statements.filter((statement) => !isLogRead(statement));
  }

  /** Reads of the log since the last call of this or the one before. */
  takeLogReads(): string[] {
    return this.#opened().counter.take().filter(isLogRead);
  }
}

/** Gives the test file that calls it, once and at its top level, a door over a database of its own. */
export function useDoor(settings: DoorSettings = {}): Door {
  const database = useDatabase();
  let opened: OpenDoor | undefined;
  beforeAll(async () => {
    opened = await openDoor(database.url, settings);
  });
  afterAll(async () => {
    await opened?.close();
    opened = undefined;
  });
  return new Door(database, () => {
    if (!opened) throw new Error('The door is open from the first beforeAll on.');
    return opened;
  });
}
