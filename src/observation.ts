import type { Config } from './config.ts';
import { startMetricsServer } from './http/metrics-server.ts';
import type { Logger } from './logger.ts';
import { type Observer, silentObserver } from './observability/observer.ts';
import { createReadiness, type Readiness } from './observability/readiness.ts';
import { noTracing, type Tracing } from './observability/tracing.ts';
import { openProbePool } from './storage/database.ts';
import type { Bus } from './stream/bus/bus.ts';

/** What operators are told of a running program. */
export interface Observation {
  readiness: Readiness;
  observer: Observer;
  tracing: Tracing;
  /** Where metrics are served; null: nowhere. */
  metricsUrl: string | null;
}

interface ObservationOptions {
  databaseUrl: string;
  bus: Bus;
  log: Logger;
  /** Up to where this process has handed the log over; null: nobody listens. Absent: it serves no streams. */
  placeInLog: (() => bigint | null) | undefined;
  /** What is closed when the program stops, last first. */
  closers: (() => Promise<unknown>)[];
}

/**
 * Opens the probes and, where the operator wants them, metrics and traces. They are there from the start on, and until
 * everything else has stopped.
 *
 * @throws StartupError when METRICS_PORT cannot be listened on.
 */
export async function openObservation(
  config: Pick<Config, 'host' | 'metricsPort' | 'redisUrl' | 'traces'>,
  { databaseUrl, bus, log, placeInLog, closers }: ObservationOptions,
): Promise<Observation> {
  const pool = openProbePool(databaseUrl);
  closers.unshift(() => pool.end());
  const readiness = await createReadiness({ pool, bus, hasRedis: config.redisUrl !== null, log });
  const tracing = await openTracing(config.traces, log);
  closers.unshift(tracing.close);
  if (config.metricsPort === null) return { readiness, observer: silentObserver, tracing, metricsUrl: null };
  // Loaded only where it is wanted, as the libraries below it are.
  const { createMetrics } = await import('./observability/metrics.ts');
  const metrics = await createMetrics({ pool, placeInLog, log });
  const server = await startMetricsServer({ metrics, readiness, log, host: config.host, port: config.metricsPort });
  closers.unshift(server.stop);
  return { readiness, observer: metrics.observer, tracing, metricsUrl: server.url };
}

async function openTracing(traces: Config['traces'], log: Logger): Promise<Tracing> {
  if (traces === null) return noTracing;
  const { openOtlpTracing } = await import('./observability/otlp-tracing.ts');
  return openOtlpTracing({ ...traces, log });
}
