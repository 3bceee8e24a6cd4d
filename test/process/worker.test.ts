import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createClient } from '../support/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type FakeInfobip, startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { settledDeliveries } from '../support/operations.ts';
import { startProgram } from '../support/program.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { countStories, followEvents, inFlightMax, infobipSettings, sendThousandSms } from '../support/thousand-sms.ts';

const SERVER_KEY = 'server-key-of-the-tests';

// Programs start and stop several times in each.
vi.setConfig({ testTimeout: 120_000 });

let temporary: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
let infobip: FakeInfobip;
let settings: Record<string, string>;

beforeEach(async () => {
  temporary = await makeTemporaryDirectory();
  infobip = await startFakeInfobip({ holdAfter: 400 });
  settings = { DATA_DIR: join(temporary.path, 'data'), SERVER_KEY, ...infobipSettings(infobip) };
});
afterEach(async () => {
  await infobip.close();
  await temporary.remove();
});

test('a program that is killed in the middle of a thousand deliveries sends them all after the next start', async () => {
  await using killed = await startProgram(settings);
  const notification = await sendThousandSms(createClient(killed.url, SERVER_KEY));
  await infobip.received(410);
  killed.send('SIGKILL');
  await killed.ended;
  expect(infobip.messages.length).toBeLessThan(1_000);
  infobip.release();

  await using next = await startProgram(settings);
  const server = createClient(next.url, SERVER_KEY);
  const { progress } = await settledDeliveries(server, notification);
  expect(progress).toMatchObject({ total: 1_000, sent: 1_000, queued: 0, sending: 0, failed: 0 });
  const events = await followEvents(server, notification, 2_000);
  expect(countStories(events)).toEqual({ 'QUEUED SENT': 1_000 });
  expect(new Set(infobip.messages.map(({ to }) => to)).size).toBe(1_000);
  expect(infobip.requestCount()).toBeLessThanOrEqual(1_000 + inFlightMax);
  await next.stop();
});

test('a program that is asked to stop in the middle of a thousand deliveries ends in order, and the next sends the rest once', async () => {
  const database: TestDatabase = await createTestDatabase();
  const DATA_ENCRYPTION_KEY = Buffer.alloc(32, 5).toString('base64');
  const onServer = { ...settings, DATABASE_URL: database.url, DATA_ENCRYPTION_KEY };
  await using stopped = await startProgram(onServer);
  const notification = await sendThousandSms(createClient(stopped.url, SERVER_KEY));
  await infobip.received(410);
  stopped.send('SIGTERM');
  infobip.release();
  expect(await stopped.ended).toEqual({ exitCode: 0, signal: null });
  expect(await countBetween(database)).toEqual({
    SENT: infobip.messages.length,
    QUEUED: 1_000 - infobip.messages.length,
  });

  await using next = await startProgram(onServer);
  const { progress } = await settledDeliveries(createClient(next.url, SERVER_KEY), notification);
  expect(progress).toMatchObject({ total: 1_000, sent: 1_000 });
  expect(infobip.requestCount()).toBe(1_000);
  await next.stop();
  await database.drop();
});

/** How many deliveries are in which status while no program runs. */
async function countBetween({ url }: TestDatabase): Promise<Record<string, number>> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<{ status: string; count: number }>(
    'select status, count(*)::int as count from deliveries group by status',
  );
  await client.end();
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}
