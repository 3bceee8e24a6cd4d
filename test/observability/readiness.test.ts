import { expect, inject, onTestFinished, test } from 'vitest';
import { insertPause } from '../../src/deliveries/channel-pause-store.ts';
import { createReadiness } from '../../src/observability/readiness.ts';
import { prepareQueue } from '../../src/queue/job-runner.ts';
import { openProbePool } from '../../src/storage/database.ts';
import type { Bus } from '../../src/stream/bus/bus.ts';
import { createInProcessBus } from '../../src/stream/bus/in-process-bus.ts';
import { useDatabase } from '../support/database.ts';
import { createTestLog } from '../support/log-events.ts';
import { makeApp } from '../support/make-app.ts';
import { startNetwork } from '../support/network.ts';
import { canStartRedis, startOwnRedis } from '../support/redis.ts';
import { impatience, useRedisBuses } from '../support/redis-buses.ts';
import { startStatementCounter } from '../support/statement-counter.ts';
import { until } from '../support/until.ts';

const hasRedisServer = await canStartRedis();
const database = useDatabase();
const openBus = useRedisBuses(impatience);

/** Looks at the file's database, over a way of the test's own. */
async function startReadiness({
  bus = createInProcessBus(),
  way = (url: string) => url,
}: {
  bus?: Bus;
  way?: (url: string) => string;
} = {}) {
  const { log, sentences } = createTestLog();
  await prepareQueue(database.pool, log);
  const pool = openProbePool(way(database.url));
  onTestFinished(async () => {
    await pool.end();
    await database.pool.query('delete from graphile_worker._private_jobs');
  });
  const readiness = await createReadiness({ pool, bus, hasRedis: true, log });
  readiness.started();
  return { readiness, sentences };
}

/** Looks until the answer is a new one, which says so. */
const untilStatus = (readiness: Awaited<ReturnType<typeof createReadiness>>, status: string) =>
  until(async () => {
    const report = await readiness.look();
    return report.status === status && report;
  });

test('where all is well it is ready, and says of what', async () => {
  const { readiness } = await startReadiness();
  expect(await readiness.look()).toEqual({
    status: 'ready',
    checks: {
      program: { ok: true, isStopping: false },
      database: { ok: true },
      migrations: { ok: true, missing: 0 },
      redis: { ok: true, isUsed: true },
      worker: { ok: true, lagSeconds: 0 },
      channels: { ok: true, paused: 0 },
    },
  });
});

test('a channel that is paused degrades, and does not make it unready', async () => {
  const { readiness } = await startReadiness();
  const { id: appId } = await makeApp(database);
  const pause = { cause: 'REFUSED' as const, providerCode: '20003', pauseMs: 60_000 };
  await insertPause(database.db, { appId, channel: 'SMS', provider: 'twilio' }, pause);
  onTestFinished(async () => void (await database.pool.query('delete from channel_pauses')));
  expect(await readiness.look()).toMatchObject({
    status: 'degraded',
    checks: { channels: { ok: false, paused: 1 }, worker: { ok: true } },
  });
});

test('a program that stops is not ready from then on, without another look', async () => {
  const { readiness } = await startReadiness();
  await readiness.look();
  readiness.stopping();
  expect(await readiness.look()).toMatchObject({
    status: 'not ready',
    checks: { program: { ok: false, isStopping: true } },
  });
});

test('a PostgreSQL that falls silent is not ready within 3 seconds, is ready again by itself, and each is logged once', async () => {
  const network = await startNetwork(Number(new URL(inject('databaseServerUrl')).port || 5432));
  onTestFinished(network.stop);
  const way = (url: string) => {
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String(network.port);
    return through.href;
  };
  const { readiness, sentences } = await startReadiness({ way });
  expect(await readiness.look()).toMatchObject({ status: 'ready' });
  network.partition();
  let slowestMs = 0;
  const report = await until(async () => {
    const askedAt = performance.now();
    const answer = await readiness.look();
    slowestMs = Math.max(slowestMs, performance.now() - askedAt);
    return answer.status === 'not ready' && answer;
  });
  expect(report.checks.database).toEqual({ ok: false });
  expect(slowestMs).toBeLessThan(3_000);
  network.heal();
  await untilStatus(readiness, 'ready');
  expect(sentences.filter((sentence) => /works|again/.test(sentence))).toEqual([
    'Not everything works as it should.',
    'Ready again.',
  ]);
});

test('jobs that wait for a worker for more than a minute degrade, and do not make it unready', async () => {
  const { readiness } = await startReadiness();
  await database.pool.query(`select graphile_worker.add_job('deliver', '{}', run_at => now() - interval '61 seconds')`);
  await database.pool.query(`select graphile_worker.add_job('deliver', '{}', run_at => now() + interval '1 hour')`);
  const report = await readiness.look();
  expect(report).toMatchObject({ status: 'degraded', checks: { worker: { ok: false } } });
  expect(report.checks.worker.lagSeconds).toBeGreaterThan(60);
});

test('a job that a worker has taken waits for nobody', async () => {
  const { readiness } = await startReadiness();
  await database.pool.query(`select graphile_worker.add_job('deliver', '{}', run_at => now() - interval '61 seconds')`);
  await database.pool.query(`update graphile_worker._private_jobs set locked_at = now(), locked_by = 'test'`);
  expect(await readiness.look()).toMatchObject({ status: 'ready' });
});

test.skipIf(!hasRedisServer)('a Redis that does not answer degrades, and does not make it unready', async () => {
  const redis = await startOwnRedis();
  onTestFinished(redis.stop);
  const { bus } = await openBus(redis.url);
  const { readiness } = await startReadiness({ bus });
  expect(await readiness.look()).toMatchObject({ status: 'ready' });
  redis.freeze();
  expect(await untilStatus(readiness, 'degraded')).toMatchObject({
    checks: { redis: { ok: false }, database: { ok: true } },
  });
  redis.thaw();
  await untilStatus(readiness, 'ready');
});

test('however often it is asked, it looks once', async () => {
  const counter = await startStatementCounter(inject('databaseServerUrl'));
  onTestFinished(() => counter[Symbol.asyncDispose]());
  const way = (url: string) => {
    const through = new URL(counter.url);
    through.pathname = new URL(url).pathname;
    return through.href;
  };
  const { readiness } = await startReadiness({ way });
  await Promise.all(Array.from({ length: 50 }, () => readiness.look()));
  expect(counter.take()).toHaveLength(3);
});
