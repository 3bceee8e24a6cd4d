import { join } from 'node:path';
import type pg from 'pg';
import { newSecret } from './apps/api-key.ts';
import { findCaller } from './apps/find-caller.ts';
import { type FirstKeys, prepareFirstStart } from './apps/first-start.ts';
import type { BannerFacts } from './banner.ts';
import { createChannels } from './channels/registry.ts';
import { generateVapidKeys, type Vapid } from './channels/web-push.ts';
import type { Config } from './config.ts';
import type { Deployment } from './deployment.ts';
import { StartupError } from './errors.ts';
import { createGateway } from './http/gateway.ts';
import { startHttpServer } from './http/server.ts';
import { createLogger, type Logger } from './logger.ts';
import { prepareQueue } from './queue/job-runner.ts';
import { type Cipher, createCipher } from './storage/cipher.ts';
import { keepFirstApiKeys, openDataDirectory } from './storage/data-directory.ts';
import { type Database, openStorage } from './storage/database.ts';
import { checkEncryptionKey, keepSecret } from './storage/deployment-secrets.ts';
import { startEmbeddedPostgres } from './storage/embedded-postgres.ts';
import { explainDatabaseError } from './storage/explain-database-error.ts';
import { migrate } from './storage/migrate.ts';
import type { Bus } from './stream/bus/bus.ts';
import { createInProcessBus } from './stream/bus/in-process-bus.ts';
import { connectRedisBus } from './stream/bus/redis-bus.ts';
import { createHub } from './stream/hub/hub.ts';
import { startWorker, type WorkerOptions } from './worker.ts';

/** A running program. */
export interface App {
  /** Where it listens; null for a worker, which serves no HTTP. */
  url: string | null;
  facts: BannerFacts;
  /** Stops in order: callers first, then the worker, then what they stood on. */
  stop(): Promise<void>;
}

/** What was opened, last first: the order in which it is closed. */
type Closers = (() => Promise<unknown>)[];

/**
 * Starts the program that `config` describes, and resolves when it is ready. The only place where parts meet.
 *
 * @throws StartupError with one sentence for the operator; nothing is left running then.
 */
export async function startApp(config: Config, workerOptions: WorkerOptions = {}): Promise<App> {
  const closers: Closers = [];
  const stop = async () => {
    for (const close of closers.splice(0)) await close();
  };
  try {
    return { ...(await start(config, closers, workerOptions)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(config: Config, closers: Closers, workerOptions: WorkerOptions): Promise<Omit<App, 'stop'>> {
  const log = createLogger({ json: config.environment === 'production' });
  const place =
    config.databaseUrl === null ? await openEmbedded(config, closers) : toServer(config, config.databaseUrl);
  const storage = openStorage(place.url, { connectionsMax: 20 });
  closers.unshift(storage.close);
  const { db, pool } = storage;
  await prepareDatabase(place.url, async () => {
    await migrate(place.url);
    await prepareQueue(pool, log);
  });

  const cipher = createCipher(place.encryptionKey);
  await checkEncryptionKey(db, cipher);
  const generatedKeys = onlyGenerated(config, await prepareFirstStart(db, place.firstKeys));
  await warnOfUselessKeys(config, db, log);
  const isKept = generatedKeys === null || place.keysFile !== null;
  const keysFile = isKept ? place.keysFile : await keepFirstApiKeys(config.dataDirectory, place.url, generatedKeys);

  const bus = await openBus(config, db, log);
  closers.unshift(bus.close);
  const vapid = await openVapid(config, db, cipher);
  const channels = createChannels({ ...config, db, vapid });
  closers.unshift(channels.close);

  const deployment = { db, bus, cipher, log };
  if (config.role !== 'gateway') {
    const isAlone = config.databaseUrl === null;
    const { eventRetentionDays } = config;
    const worker = await startWorker({ ...deployment, pool, channels, isAlone, eventRetentionDays }, workerOptions);
    closers.unshift(worker.stop);
  }
  const url =
    config.role === 'worker'
      ? null
      : await openDoor(config, { ...deployment, pool, webPushPublicKey: vapid.publicKey }, closers);
  const facts: BannerFacts = {
    database: config.databaseUrl === null ? 'embedded' : 'server',
    wakeUps: config.redisUrl === null ? 'in-process' : 'redis',
    generatedKeys,
    keysFile,
    channels: channels.describe(),
  };
  return { url, facts };
}

/** Of the keys that were made, those that the operator does not know: to be shown and kept. Null: there are none. */
function onlyGenerated(config: Config, made: FirstKeys): FirstKeys | null {
  const serverKey = config.serverKey === null ? made.serverKey : null;
  const appKey = config.appKey === null ? made.appKey : null;
  return serverKey === null && appKey === null ? null : { serverKey, appKey };
}

/** Keys are only taken from the environment at the first start: whoever changes them later should not have to guess. */
async function warnOfUselessKeys({ serverKey, appKey }: Config, db: Database, log: Logger): Promise<void> {
  for (const [setting, secret] of Object.entries({ SERVER_KEY: serverKey, APP_KEY: appKey })) {
    if (secret !== null && !(await findCaller(db, secret))) {
      log.warn(
        { setting },
        'This key is not one of this deployment: a key is taken from the environment at the first start only.',
      );
    }
  }
}

/** Where the data is, and the keys that go with it. */
interface Place {
  url: string;
  encryptionKey: Buffer;
  firstKeys: { serverKey: string | null; appKey: string | null };
  keysFile: string | null;
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

async function prepareDatabase(url: string, prepare: () => Promise<void>): Promise<void> {
  try {
    await prepare();
  } catch (error) {
    throw error instanceof StartupError ? error : explainDatabaseError(error, url);
  }
}

async function openBus({ redisUrl }: Config, db: Database, log: Logger): Promise<Bus> {
  if (redisUrl === null) return createInProcessBus();
  // The log's epoch names this database among all that may share the Redis.
  const { epoch } = await db.deliveryLog.findUniqueOrThrow({ where: { id: true } });
  return connectRedisBus(redisUrl, { namespace: epoch, log });
}

async function openVapid({ vapid }: Config, db: Database, cipher: Cipher): Promise<Vapid> {
  const { subject, publicKey, privateKey } = vapid;
  if (publicKey !== null && privateKey !== null) return { subject, publicKey, privateKey };
  const make = () => JSON.stringify(generateVapidKeys());
  return { subject, ...JSON.parse(await keepSecret(db, cipher, { name: 'vapid keys', make })) };
}

async function openDoor(
  config: Config,
  { pool, ...deployment }: Deployment & { pool: pg.Pool; webPushPublicKey: string },
  closers: Closers,
): Promise<string> {
  const { db, bus, log } = deployment;
  const hub = createHub({ pool, bus, log });
  const gateway = createGateway({
    ...deployment,
    hub,
    isProduction: config.environment === 'production',
    arePrivateEndpointsAllowed: config.arePrivateEndpointsAllowed,
  });
  const server = await startHttpServer({
    gateway,
    db,
    log,
    host: config.host,
    port: config.port,
    checkReady: async () => {
      await pool.query('select 1');
    },
  });
  // Callers first: a stream that ends while they listen tells them that there is no more to come, and they stay away.
  closers.unshift(server.stop, hub.close);
  return server.url;
}
