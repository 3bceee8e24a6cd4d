import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { callerErrorCodes } from '../errors.ts';
import type { Observer, OperationFacts } from './observer.ts';

// Labels have few values, whatever callers send: each of them would be a series that is kept for as long as the process lives.

const callerKinds = new Set(['SERVER', 'DASHBOARD', 'PARTNER', 'APP', 'INSTALLATION']);

const codes: ReadonlySet<unknown> = new Set([...callerErrorCodes, 'INTERNAL_SERVER_ERROR']);

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const pointsBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/** One series of each metric, found once: to look them up by their labels costs more than to count. */
interface Series {
  total: Counter.Internal;
  throttled: Counter.Internal | null;
  seconds: Histogram.Internal<string>;
  cost: Histogram.Internal<string>;
}

/** An observer that counts operations, subscriptions and WebSockets in `registry`. */
export function createOperationMetrics(registry: Registry): Observer {
  const registers = [registry];
  const total = new Counter({
    name: 'carillon_operations_total',
    help: 'Operations that were answered, by who asked, how, for what, and the code of their first error (OK: none).',
    labelNames: ['caller', 'transport', 'type', 'code'],
    registers,
  });
  const seconds = new Histogram({
    name: 'carillon_operation_duration_seconds',
    help: 'How long operations took; a subscription, until it was begun.',
    labelNames: ['transport', 'type'],
    buckets: secondsBuckets,
    registers,
  });
  const cost = new Histogram({
    name: 'carillon_operation_cost_points',
    help: 'What operations asked for, in points, before they were executed.',
    labelNames: ['caller'],
    buckets: pointsBuckets,
    registers,
  });
  const throttled = new Counter({
    name: 'carillon_operations_throttled_total',
    help: 'Operations that were refused because their caller had asked for too much at once.',
    labelNames: ['caller'],
    registers,
  });
  const known = new Map<string, Series>();

  function seriesOf({ callerKind, transport, operationType, code }: OperationFacts): Series {
    const caller = callerKind === null ? 'nobody' : callerKinds.has(callerKind) ? callerKind : 'other';
    const type = operationType ?? 'unknown';
    const outcome = code === null ? 'OK' : codes.has(code) ? code : 'OTHER';
    const key = `${caller} ${transport} ${type} ${outcome}`;
    let series = known.get(key);
    if (!series) {
      series = {
        total: total.labels(caller, transport, type, outcome),
        throttled: outcome === 'THROTTLED' ? throttled.labels(caller) : null,
        seconds: seconds.labels(transport, type),
        cost: cost.labels(caller),
      };
      known.set(key, series);
    }
    return series;
  }

  return {
    operationDone(facts) {
      const series = seriesOf(facts);
      series.total.inc();
      series.throttled?.inc();
      series.seconds.observe(facts.seconds);
      if (facts.requestedCost !== null) series.cost.observe(facts.requestedCost);
    },
    ...createGauges(registry),
  };
}

function createGauges(registry: Registry): Omit<Observer, 'operationDone'> {
  const subscriptions = new Gauge({
    name: 'carillon_subscriptions_open',
    help: 'Subscriptions that are open at this process.',
    registers: [registry],
  });
  const sockets = new Gauge({
    name: 'carillon_websockets_open',
    help: 'WebSocket connections that are open at this process.',
    registers: [registry],
  });
  return {
    subscriptionOpened: () => subscriptions.inc(),
    subscriptionClosed: () => subscriptions.dec(),
    socketOpened: () => sockets.inc(),
    socketClosed: () => sockets.dec(),
  };
}
