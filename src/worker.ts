import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { findDefaultAppId } from './apps/default-app.ts';
import { forgetAttributeJob } from './attributes/forget-attribute.job.ts';
import type { Config } from './config.ts';
import { forgetPauses, hastenProbes } from './deliveries/channel-pause-store.ts';
import { createChannelPauses } from './deliveries/channel-pauses.ts';
import { deliverJob } from './deliveries/deliver.job.ts';
import { createSendRates } from './deliveries/send-rates.ts';
import type { Worker } from './deliveries/worker.ts';
import { forgetEvents } from './events/forget-events.ts';
import { fallBackJob } from './notifications/fan-out/fall-back.job.ts';
import { fanOutJob } from './notifications/fan-out/fan-out.job.ts';
import { resumePutOffJob } from './notifications/resume-put-off.job.ts';
import { sweep } from './notifications/sweeper.ts';
import type { Tracing } from './observability/tracing.ts';
import { type BoundJob, bindJob, startJobRunner } from './queue/job-runner.ts';
import { attributeIndexesJob, keepAttributeIndexes } from './segments/attribute-indexes.ts';
import { rotateLog } from './stream/log/rotate-log.ts';
import { startWebhookFeed } from './webhooks/webhook-feed.ts';

/** How a worker works. Tests shorten the times. */
export interface WorkerOptions {
  /** How long a claim holds without a renewal. @default 60 // seconds */
  leaseSeconds?: number;
  /** How often what a dead worker left is looked for. @default 10_000 // 10 seconds */
  sweepMs?: number;
  /** How often the delivery log's partitions are seen to. @default 3_600_000 // 1 hour */
  rotateMs?: number;
  /** How long a channel that is down is left alone before one send tries it again. @default 30_000 // 30 seconds */
  channelPauseMs?: number;
  /** How often sessions over which providers tell of messages are opened, if they are lost. @default 30_000 // 30 seconds */
  listenMs?: number;
  /** How long sends under way may go on after a stop. @default 5_000 // 5 seconds */
  graceMs?: number;
  /** @default 5_000 // users that a fan-out takes in one transaction */
  usersPerPage?: number;
}

/** A worker at work. */
interface RunningWorker {
  /** Begins what `stop` does, and does not wait for its end. */
  beginStop(): void;
  stop(): Promise<void>;
}

/** Jobs at a time in one process. @default 4 */
const concurrency = 4;

/**
 * Begins to deliver, and goes on until stopped: then nothing new is begun, what has not begun is given back, and sends
 * under way are waited for, for `graceMs` at most; what is cut off after that is due again at once.
 *
 * @param isAlone no other worker can be alive: what an earlier process held is taken back at once.
 */
export async function startWorker(
  parts: Pick<Worker, 'db' | 'bus' | 'cipher' | 'log' | 'rules' | 'publicUrl' | 'channels' | 'tracing'> & {
    pool: pg.Pool;
    isAlone: boolean;
    eventRetentionDays: number;
    trackedEventRetentionDays: number;
    ratesPerSecond: Config['ratesPerSecond'];
    arePrivateWebhooksAllowed: boolean;
  },
  options: WorkerOptions,
): Promise<RunningWorker> {
  const { pool, isAlone, eventRetentionDays, trackedEventRetentionDays, ratesPerSecond, ...rest } = parts;
  const { arePrivateWebhooksAllowed, ...deployment } = rest;
  const { db, log, channels } = deployment;
  const {
    leaseSeconds = 60,
    sweepMs = 10_000,
    rotateMs = 3_600_000,
    channelPauseMs = 30_000,
    listenMs = 30_000,
    graceMs = 5_000,
    usersPerPage = 5_000,
  } = options;
  const stopping = new AbortController();
  const cuttingOff = new AbortController();
  const defaultAppId = await findDefaultAppId(db);
  if (defaultAppId === null) throw new Error('A worker starts after the first start has made an app.');
  const worker: Worker = {
    ...deployment,
    leaseSeconds,
    usersPerPage,
    defaultAppId,
    pauses: createChannelPauses({
      db,
      log,
      listProviders: () =>
        channels.listProviders().map(({ ownerId, ...provider }) => ({ ...provider, appId: ownerId ?? defaultAppId })),
      pauseMs: channelPauseMs,
      signal: cuttingOff.signal,
    }),
    rates: createSendRates(ratesPerSecond),
    signal: stopping.signal,
    sendSignal: cuttingOff.signal,
  };
  await forgetPauses(db, defaultAppId, channels.listProviders());
  await hastenProbes(db);
  const rotation = {
    run: () => rotateLog({ pool, log: worker.log, retentionDays: eventRetentionDays }),
    everyMs: rotateMs,
    failure: 'The partitions of the delivery log could not be seen to.',
  };
  await attempt(worker, rotation);
  await sweep(worker, { isAlone });
  const sweeping = {
    run: () => sweep(worker),
    everyMs: sweepMs,
    failure: 'What a worker may have left behind could not be looked for.',
  };
  const runner = await startJobRunner({
    onRestart: () => attempt(worker, sweeping),
    pool,
    log: worker.log,
    tasks: [
      bindJob(fanOutJob, worker),
      bindJob(deliverJob, worker),
      bindJob(fallBackJob, worker),
      bindJob(resumePutOffJob, worker),
      bindJob(forgetAttributeJob, worker),
      bindJob(attributeIndexesJob, { ...worker, pool }),
    ].map((job) => traced(job, worker.tracing)),
    concurrency,
  });
  const feed = startWebhookFeed({ ...deployment, arePrivateWebhooksAllowed, leaseSeconds, isAlone });
  const listening = {
    run: () => channels.listen(),
    everyMs: listenMs,
    failure: 'A session over which a provider tells of messages could not be opened.',
  };
  const chores = [
    // What it waits for may take its time.
    attempt(worker, listening),
    repeat(worker, listening),
    repeat(worker, rotation),
    // Attributes come and go too.
    repeat(worker, {
      run: () => keepAttributeIndexes({ ...worker, pool }),
      everyMs: rotateMs,
      failure: 'The indexes of attributes could not be seen to.',
    }),
    repeat(worker, {
      run: () => forgetEvents(worker.db, { keptDays: trackedEventRetentionDays, signal: worker.signal }),
      everyMs: rotateMs,
      failure: 'Events that are kept no longer could not be removed.',
    }),
    repeat(worker, sweeping),
  ];
  let stopped: Promise<void> | undefined;
  async function finish() {
    stopping.abort();
    const grace = setTimeout(() => cuttingOff.abort(), graceMs);
    // At once: a job that runs now finds that it may begin nothing, and would come back and back.
    await Promise.all([runner.stop(), ...chores]);
    await feed.stop();
    clearTimeout(grace);
  }
  const stop = () => {
    stopped ??= finish();
    return stopped;
  };
  return {
    // What fails is told to who waits for the end.
    beginStop: () => void stop().catch(() => undefined),
    stop,
  };
}

function traced({ name, run }: BoundJob, { trace }: Pick<Tracing, 'trace'>): BoundJob {
  return { name, run: (payload) => trace(`job ${name}`, {}, () => run(payload)) };
}

interface Chore {
  run: () => Promise<void>;
  everyMs: number;
  /** What is logged when it fails. */
  failure: string;
}

/** Does a chore again and again, until the worker stops. */
async function repeat(worker: Worker, chore: Chore): Promise<void> {
  const { signal } = worker;
  while (!signal.aborted) {
    // A stop wakes it from its sleep.
    await sleep(chore.everyMs, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await attempt(worker, chore);
  }
}

async function attempt({ log }: Worker, { run, failure }: Chore): Promise<void> {
  try {
    await run();
  } catch (err) {
    log.error({ err }, failure);
  }
}
