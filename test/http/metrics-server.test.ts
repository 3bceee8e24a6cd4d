import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { testConfig } from '../support/app.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();
let app: App;
beforeAll(async () => {
  app = await startApp(testConfig(database.url, { role: 'worker', metricsPort: 0 }));
});
afterAll(() => app.stop());

const get = (path: string) => fetch(`${app.metricsUrl}${path}`);

test('a worker, which serves nothing else, serves metrics and probes on a port of their own', async () => {
  expect(app.url).toBeNull();
  const metrics = await get('/metrics');
  expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(await metrics.text()).toMatch(/^carillon_queue_lag_seconds \d/m);
  expect((await get('/health')).status).toBe(200);
  expect(await (await get('/ready')).json()).toMatchObject({ status: 'ready' });
});

test('nothing else is there', async () => {
  for (const path of ['/', '/graphql', '/metrics/more']) expect((await get(path)).status).toBe(404);
});
