import type pg from 'pg';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Logger } from '../logger.ts';
import { createDeploymentMetrics } from './deployment-metrics.ts';
import type { Observer } from './observer.ts';
import { createOperationMetrics } from './operation-metrics.ts';

/** Prometheus metrics of one process. */
export interface Metrics {
  /** Counts what the door does. */
  observer: Observer;
  /** Also reads the deployment's metrics, on behalf of all who ask meanwhile. Never rejects for the database's sake. */
  render(): Promise<{ contentType: string; text: string }>;
}

interface MetricsOptions {
  /** Whose statements are bounded in time: see `openProbePool`. */
  pool: pg.Pool;
  /** Up to where this process has handed the log over; null: nobody listens. Absent: it serves no streams. */
  placeInLog?: (() => bigint | null) | undefined;
  log: Logger;
}

/** Metrics with a registry of their own, with the process's (`process_…`, `nodejs_…`) among them. */
export async function createMetrics(options: MetricsOptions): Promise<Metrics> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const deployment = await createDeploymentMetrics({ registry, ...options });
  let refreshing: Promise<void> | undefined;
  return {
    observer: createOperationMetrics(registry),
    async render() {
      refreshing ??= deployment.refresh().finally(() => {
        refreshing = undefined;
      });
      await refreshing;
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
