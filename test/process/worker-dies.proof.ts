import { expect, test } from 'vitest';
import { createClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { settledDeliveries } from '../support/operations.ts';
import { startProgram, startShortLeaseWorker } from '../support/program.ts';
import { inFlightMax, infobipSettings, sendThousandSms } from '../support/thousand-sms.ts';

const SERVER_KEY = 'server-key-of-the-tests';
const kills = 20;

test('twenty workers are killed in ten thousand deliveries: none is missing, and no more are sent twice than were under way', async ({
  annotate,
}) => {
  const database = await createTestDatabase();
  const infobip = await startFakeInfobip();
  const settings = {
    DATABASE_URL: database.url,
    DATA_ENCRYPTION_KEY: Buffer.alloc(32, 5).toString('base64'),
    SERVER_KEY,
    ...infobipSettings(infobip),
  };
  await using gateway = await startProgram({ ROLE: 'gateway', ...settings });
  const server = createClient(gateway.url, SERVER_KEY);
  const notification = await sendThousandSms(server, { thousands: 10 });
  for (let kill = 1; kill <= kills; kill += 1) {
    await using worker = await startShortLeaseWorker(settings);
    await infobip.received(kill * 400);
    worker.send('SIGKILL');
    await worker.ended;
  }
  const takenBefore = infobip.messages.length;
  await using last = await startShortLeaseWorker(settings);
  const { progress } = await settledDeliveries(server, notification);
  expect(takenBefore).toBeLessThan(10_000);
  expect(progress).toMatchObject({ total: 10_000, sent: 10_000, queued: 0, sending: 0, failed: 0 });
  expect(new Set(infobip.messages.map(({ to }) => to)).size).toBe(10_000);
  const repeats = infobip.requestCount() - 10_000;
  expect(repeats).toBeLessThanOrEqual(kills * inFlightMax);
  await annotate(
    `${kills} kills; 10,000 sent, ${repeats} requests were repeats: at most ${kills * inFlightMax} may be.`,
  );
  await last.stop();
  await gateway.stop();
  await infobip.close();
  await database.drop();
});
