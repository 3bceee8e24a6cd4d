import { hostname } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { openOtlpTracing } from '../../src/observability/otlp-tracing.ts';
import { fcmAddress } from '../support/addresses.ts';
import { testConfig, testKeys, urlOf } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { startFakeCollector } from '../support/fakes/fake-collector.ts';
import { createTestLog } from '../support/log-events.ts';
import { makeInstallation, makeNotification, makeUser } from '../support/operations.ts';
import { until } from '../support/until.ts';

async function startTracing() {
  const collector = await startFakeCollector();
  onTestFinished(collector.close);
  const { log, sentences } = createTestLog();
  const tracing = openOtlpTracing({ url: `${collector.url}/v1/traces`, serviceName: 'carillon', log });
  return { collector, tracing, sentences };
}

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parentId = '00f067aa0ba902b7';
const request = { callerKind: 'SERVER', transport: 'http' as const, traceparent: `00-${traceId}-${parentId}-01` };

test('an operation is one span, which joins the trace of its request, and what is done in it lies below', async () => {
  const { collector, tracing } = await startTracing();
  await tracing.traceOperation(request, async (span) => {
    span.found({ name: 'Users', type: 'query', documentHash: 'abc' });
    await tracing.trace('send', { 'carillon.deliveries': 3 }, async () => undefined);
    span.done({ code: null, requestedCost: 12 });
  });
  await tracing.close();
  const [send, operation] = collector.spans;
  expect(operation).toMatchObject({ name: 'Users', traceId, parentSpanId: parentId, service: 'carillon' });
  expect(operation?.attributes).toEqual({
    'carillon.caller.kind': 'SERVER',
    'carillon.transport': 'http',
    'graphql.operation.type': 'query',
    'graphql.operation.name': 'Users',
    'graphql.document.hash': 'abc',
    'carillon.outcome': 'OK',
    'carillon.cost': 12,
  });
  expect(send).toMatchObject({
    name: 'send',
    traceId,
    parentSpanId: operation?.spanId,
    attributes: { 'carillon.deliveries': 3 },
  });
});

test.each([
  ['none', null],
  ['one of zeros', `00-${'0'.repeat(32)}-${parentId}-01`],
  ['one that is cut', `00-${traceId}-${parentId}`],
  ['another thing', 'ann@example.com'],
])('a request with %s for a trace begins its own', async (_, traceparent) => {
  const { collector, tracing } = await startTracing();
  await tracing.traceOperation({ ...request, traceparent }, async () => undefined);
  await tracing.close();
  expect(collector.spans).toHaveLength(1);
  expect(collector.spans[0]?.parentSpanId ?? '').toBe('');
  expect(collector.spans[0]?.traceId).not.toBe(traceId);
});

test('a trace that its client does not record is not recorded here', async () => {
  const { collector, tracing } = await startTracing();
  await tracing.traceOperation({ ...request, traceparent: `00-${traceId}-${parentId}-00` }, async () => undefined);
  await tracing.close();
  expect(collector.spans).toEqual([]);
});

test('work that throws is told as failed, without what the error says', async () => {
  const { collector, tracing } = await startTracing();
  const work = tracing.trace('job deliver', {}, () => Promise.reject(new TypeError('ann.secret@example.com')));
  await expect(work).rejects.toThrow('ann.secret@example.com');
  await tracing.close();
  expect(collector.spans).toMatchObject([
    { name: 'job deliver', attributes: { 'error.type': 'TypeError' }, status: { code: 2 } },
  ]);
  expect(collector.text()).not.toContain('ann.secret');
});

test('a collector that is silent keeps a stop for no more than 2 seconds', async () => {
  const { collector, tracing } = await startTracing();
  collector.fallSilent();
  await tracing.trace('job deliver', {}, async () => undefined);
  const startedAt = performance.now();
  await tracing.close();
  expect(performance.now() - startedAt).toBeLessThan(2_500);
});

test('a program traces its jobs and batches of sends, and nothing personal leaves it', async () => {
  const collector = await startFakeCollector();
  const database = await createTestDatabase();
  onTestFinished(async () => {
    await collector.close();
    await database.drop();
  });
  const app = await startApp(
    testConfig(database.url, { traces: { url: `${collector.url}/v1/traces`, serviceName: 'messages' } }),
  );
  const client = createClient(urlOf(app), testKeys.serverKey);
  const installation = await makeInstallation(client.as(testKeys.appKey), { address: fcmAddress('secret-token') });
  await makeUser(client, {
    installation: installation.pushRegistrationId,
    userIdentity: { externalUserId: 'ann-secret', emails: ['ann.secret@example.com'], phones: ['+31201234567'] },
    userAttributes: { firstName: 'Annsecret' },
  });
  await makeNotification(client, {
    idempotencyKey: 'a',
    content: { title: 'Secret title', body: 'A secret.' },
    target: { users: [{ externalUserId: 'ann-secret' }] },
  });
  await until(async () => collector.spans.some(({ name }) => name === 'send'));
  await app.stop();
  const find = (name: string) => collector.spans.find((span) => span.name === name);
  expect(find('job fan-out')).toMatchObject({ service: 'messages' });
  const deliver = collector.spans.find(({ spanId }) => spanId === find('send')?.parentSpanId);
  expect(deliver).toMatchObject({ name: 'job deliver' });
  expect(find('send')?.attributes).toMatchObject({
    'carillon.channels': 'EMAIL,IN_APP,PUSH,SMS',
    'carillon.deliveries': 4,
  });
  for (const personal of ['ecret', '31201234567', testKeys.serverKey, installation.token, hostname()]) {
    expect(collector.text()).not.toContain(personal);
  }
});
