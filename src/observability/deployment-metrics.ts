import type pg from 'pg';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Logger } from '../logger.ts';
import { listWaitingJobs } from '../queue/waiting-jobs.ts';
import { countEvents, type LogPlace, measureLag } from '../stream/log/count-events.ts';
import { readLogHead } from '../stream/log/log.ts';
import { listPausedChannels } from './paused-channels.ts';

/** What the whole deployment has done and has yet to do, asked of the database. */
export interface DeploymentMetrics {
  /** Asks anew. What cannot be found out stays as it was, and is counted as a failure. Never rejects. */
  refresh(): Promise<void>;
}

interface DeploymentMetricsOptions {
  registry: Registry;
  /** Whose statements are bounded in time: see `openProbePool`. */
  pool: pg.Pool;
  /** Up to where this process has handed the log over; null: nobody listens. Absent: it serves no streams. */
  placeInLog?: (() => bigint | null) | undefined;
  log: Logger;
}

type Parts = Record<'events' | 'log' | 'queue' | 'channels', () => Promise<void>>;

/**
 * Metrics that are read from the database when they are asked for, so that no code path can forget to count: delivery events
 * from the log's head at this moment on, and what waits in log and queue.
 */
export async function createDeploymentMetrics({
  registry,
  pool,
  placeInLog,
  log,
}: DeploymentMetricsOptions): Promise<DeploymentMetrics> {
  const failures = new Counter({
    name: 'carillon_metrics_failures_total',
    help: 'How often a part of these metrics could not be read from the database.',
    labelNames: ['part'],
    registers: [registry],
  });
  const parts: Parts = {
    events: await countDeliveryEvents(registry, pool),
    log: watchLog(registry, pool, placeInLog),
    queue: watchQueue(registry, pool),
    channels: watchChannels(registry, pool),
  };
  return {
    async refresh() {
      await Promise.all(
        Object.entries(parts).map(async ([part, read]) => {
          try {
            await read();
          } catch (err) {
            failures.inc({ part });
            log.debug({ err, part }, 'A part of the metrics could not be read.');
          }
        }),
      );
    },
  };
}

async function countDeliveryEvents(registry: Registry, pool: pg.Pool): Promise<() => Promise<void>> {
  const total = new Counter({
    name: 'carillon_delivery_events_total',
    help: 'Deliveries that came into a state, by channel. Each process counts those of the whole deployment since its start: take max() over processes, not sum().',
    labelNames: ['channel', 'status'],
    registers: [registry],
  });
  let place: LogPlace = await readLogHead(pool);
  return async () => {
    const { counts, through } = await countEvents(pool, place);
    place = through;
    for (const { channel, status, count } of counts) total.inc({ channel: channel ?? 'NONE', status }, count);
  };
}

function watchLog(registry: Registry, pool: pg.Pool, placeInLog?: () => bigint | null): () => Promise<void> {
  if (!placeInLog) return async () => undefined;
  const events = new Gauge({
    name: 'carillon_log_lag_events',
    help: 'Delivery events that this process has not handed to its streams yet; 10,000 at most are counted.',
    registers: [registry],
  });
  const seconds = new Gauge({
    name: 'carillon_log_lag_seconds',
    help: 'How long ago the oldest of these events happened.',
    registers: [registry],
  });
  return async () => {
    const place = placeInLog();
    const lag = place === null ? { events: 0, seconds: 0 } : await measureLag(pool, place);
    events.set(lag.events);
    seconds.set(lag.seconds);
  };
}

function watchQueue(registry: Registry, pool: pg.Pool): () => Promise<void> {
  const seconds = new Gauge({
    name: 'carillon_queue_lag_seconds',
    help: 'For how long the oldest job of the deployment has been due without a worker that takes it.',
    registers: [registry],
  });
  const jobs = new Gauge({
    name: 'carillon_queue_jobs_waiting',
    help: 'Jobs of the deployment that are due and that no worker has taken, by task.',
    labelNames: ['task'],
    registers: [registry],
  });
  return async () => {
    const waiting = await listWaitingJobs(pool);
    seconds.set(Math.max(0, ...waiting.map(({ lagSeconds }) => lagSeconds)));
    // A task that had jobs and has none is told with none.
    for (const { labels } of (await jobs.get()).values) jobs.set(labels, 0);
    for (const { task, count } of waiting) jobs.set({ task }, count);
  };
}

function watchChannels(registry: Registry, pool: pg.Pool): () => Promise<void> {
  const paused = new Gauge({
    name: 'carillon_channel_paused',
    help: 'For how many apps the provider of a channel is down: nothing is sent by it, but for a try now and then.',
    labelNames: ['channel', 'provider'],
    registers: [registry],
  });
  return async () => {
    const channels = await listPausedChannels(pool);
    // What was resumed is told with none.
    for (const { labels } of (await paused.get()).values) paused.set(labels, 0);
    for (const { channel, provider, appCount } of channels) paused.set({ channel, provider }, appCount);
  };
}
