import { findDefaultAppId } from './apps/default-app.ts';
import { findCaller } from './apps/find-caller.ts';
import { type FirstKeys, prepareFirstStart } from './apps/first-start.ts';
import type { BannerFacts } from './banner.ts';
import { createChannels } from './channels/registry.ts';
import { generateVapidKeys, type Vapid } from './channels/web-push.ts';
import { type Config, listUnreachable } from './config.ts';
import { type AppChannels, createAppChannels, type ToldProviders } from './deliveries/app-channels.ts';
import type { Deployment } from './deployment.ts';
import { createDoor } from './door/door.ts';
import { createInProcessThrottle } from './door/throttle/in-process-throttle.ts';
import { createRedisThrottle } from './door/throttle/redis-throttle.ts';
import type { Throttle } from './door/throttle/throttle.ts';
import { StartupError } from './errors.ts';
import type { Context } from './graphql/context.ts';
import { schema } from './graphql/schema.ts';
import { startHttpServer } from './http/server.ts';
import { createLogger, createReadableLogger, type Logger } from './logger.ts';
import { type Observation, openObservation } from './observation.ts';
import { openBus } from './open-bus.ts';
import { openPlace } from './open-place.ts';
import { openRoutes } from './open-routes.ts';
import { prepareQueue } from './queue/job-runner.ts';
import { createReceiptIntake, type ReceiptIntake } from './receipts/receipt-intake.ts';
import { type Cipher, createCipher } from './storage/cipher.ts';
import { keepFirstApiKeys } from './storage/data-directory.ts';
import { type Database, openStorage } from './storage/database.ts';
import { checkEncryptionKey, keepSecret } from './storage/deployment-secrets.ts';
import { explainDatabaseError } from './storage/explain-database-error.ts';
import { migrate } from './storage/migrate.ts';
import { parseRedisUrl } from './stream/bus/redis-node.ts';
import { createHub, type Hub } from './stream/hub/hub.ts';
import { wireReceipts } from './wire-receipts.ts';
import { startWorker, type WorkerOptions } from './worker.ts';

/** A running program. */
export interface App {
  /** Where it listens; null for a worker, which serves no HTTP. */
  url: string | null;
  /** Where its metrics are; null: nowhere. */
  metricsUrl: string | null;
  facts: BannerFacts;
  /** Stops in order: callers first, with the worker, then what they stood on. */
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
  const log = config.environment === 'production' ? createLogger() : await createReadableLogger();
  const place = await openPlace(config, closers);
  const storage = openStorage(place.url, { connectionsMax: 20 });
  closers.unshift(storage.close);
  const { db, pool } = storage;
  await prepareDatabase(place.url, async () => {
    await migrate(place.url);
    await prepareQueue(pool, log);
  });

  for (const sentence of listUnreachable(config)) log.warn({}, sentence);
  const cipher = createCipher(place.encryptionKey);
  await checkEncryptionKey(db, cipher);
  const generatedKeys = onlyGenerated(config, await prepareFirstStart(db, place.firstKeys));
  await warnOfUselessKeys(config, db, log);
  const isKept = generatedKeys === null || place.keysFile !== null;
  const keysFile = isKept ? place.keysFile : await keepFirstApiKeys(config.dataDirectory, place.url, generatedKeys);

  const bus = await openBus(config, db, log);
  closers.unshift(bus.close);
  const vapid = await openVapid(config, db, cipher);
  const deployment = { db, bus, cipher, log, rules: config.rules, publicUrl: config.publicUrl };
  const intake = createReceiptIntake(deployment);
  closers.unshift(intake.close);
  const wire = (providers: ToldProviders) =>
    wireReceipts(providers, { deployment, intake, callbackUrl: config.callbackUrl });
  const channels = createChannels({ ...config, ...wire(config), db, vapid });
  closers.unshift(channels.close);

  const { arePrivateEndpointsAllowed } = config;
  const ofApps = createAppChannels({
    ...{ db, cipher, log, vapid, arePrivateEndpointsAllowed },
    environment: channels,
    wireReceipts: wire,
  });
  closers.unshift(ofApps.close);

  const hub = config.role === 'worker' ? null : createHub({ pool, bus, log });
  const placeInLog = hub ? () => hub.place() : undefined;
  const observation = await openObservation(config, { databaseUrl: place.url, bus, log, placeInLog, closers });
  const { readiness, tracing, metricsUrl } = observation;
  let beginStop = readiness.stopping;
  if (config.role !== 'gateway') {
    const isAlone = config.databaseUrl === null;
    const { eventRetentionDays, trackedEventRetentionDays, ratesPerSecond } = config;
    const { arePrivateWebhooksAllowed } = config;
    const settings = { eventRetentionDays, trackedEventRetentionDays, ratesPerSecond, arePrivateWebhooksAllowed };
    const parts = { ...deployment, pool, channels: ofApps, tracing, isAlone, ...settings };
    const worker = await startWorker(parts, workerOptions);
    closers.unshift(worker.stop);
    beginStop = () => {
      readiness.stopping();
      // While callers are sent away, sends under way end: one after the other would take as long as both.
      worker.beginStop();
    };
  }
  const url =
    hub &&
    (await openDoor(
      config,
      {
        ...deployment,
        findConfigured: async () => ofApps.findConfigured(await findDefaultAppId(db)),
        hub,
        channels,
        ofApps,
        intake,
        observation,
        webPushPublicKey: vapid.publicKey,
      },
      closers,
    ));
  closers.unshift(async () => beginStop());
  readiness.started();
  const facts: BannerFacts = {
    database: config.databaseUrl === null ? 'embedded' : 'server',
    wakeUps: config.redisUrl === null ? 'in-process' : 'redis',
    generatedKeys,
    keysFile,
    channels: channels.describe(),
  };
  return { url, metricsUrl, facts };
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

async function prepareDatabase(url: string, prepare: () => Promise<void>): Promise<void> {
  try {
    await prepare();
  } catch (error) {
    throw error instanceof StartupError ? error : explainDatabaseError(error, url);
  }
}

async function openThrottle({ redisUrl }: Config, db: Database, log: Logger): Promise<Throttle> {
  const nodes = redisUrl === null ? null : parseRedisUrl(redisUrl);
  if (nodes === null) return createInProcessThrottle();
  const { epoch } = await db.deliveryLog.findUniqueOrThrow({ where: { id: true } });
  return createRedisThrottle({ nodes, namespace: epoch, log });
}

async function openVapid({ vapid }: Config, db: Database, cipher: Cipher): Promise<Vapid> {
  const { subject, publicKey, privateKey } = vapid;
  if (publicKey !== null && privateKey !== null) return { subject, publicKey, privateKey };
  const make = () => JSON.stringify(generateVapidKeys());
  return { subject, ...JSON.parse(await keepSecret(db, cipher, { name: 'vapid keys', make })) };
}

interface GatewayParts extends Deployment, Pick<Context, 'channels' | 'findConfigured'> {
  hub: Hub;
  ofApps: AppChannels;
  intake: ReceiptIntake;
  observation: Observation;
  webPushPublicKey: string;
}

async function openDoor(
  config: Config,
  { observation, intake, ofApps, ...deployment }: GatewayParts,
  closers: Closers,
): Promise<string> {
  const { db, hub, log } = deployment;
  const isProduction = config.environment === 'production';
  const throttle = await openThrottle(config, db, log);
  closers.unshift(throttle.close);
  const door = createDoor({
    ...deployment,
    schema,
    throttle,
    observer: observation.observer,
    tracing: observation.tracing,
    isProduction,
    arePrivateEndpointsAllowed: config.arePrivateEndpointsAllowed,
    arePrivateWebhooksAllowed: config.arePrivateWebhooksAllowed,
  });
  closers.unshift(door.close);
  const twilioAuthTokens = async () => [
    ...(config.twilioAuthToken === null ? [] : [config.twilioAuthToken]),
    ...(await ofApps.listTwilioAuthTokens()),
  ];
  const routes = await openRoutes({ deployment, intake, throttle, twilioAuthTokens });
  const server = await startHttpServer({
    door,
    observer: observation.observer,
    isProduction,
    trustedProxies: config.trustedProxies,
    log,
    host: config.host,
    port: config.port,
    readiness: observation.readiness,
    routes,
  });
  // Callers first: a stream that ends while they listen tells them that there is no more to come, and they stay away.
  closers.unshift(server.stop, hub.close);
  return server.url;
}
