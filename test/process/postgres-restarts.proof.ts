import { expect, test } from 'vitest';
import { restartUnderLoad } from '../support/restart-under-load.ts';
import { inFlightMax } from '../support/thousand-sms.ts';

test('a PostgreSQL that is restarted five times under load holds sending up for less than 5 seconds each', async ({
  annotate,
}) => {
  const { progress, reached, requests, healedMs } = await restartUnderLoad({ thousands: 10, restarts: 5 });
  expect(progress).toMatchObject({ total: 10_000, sent: 10_000, queued: 0, sending: 0, failed: 0 });
  expect(reached).toBe(10_000);
  expect(requests).toBeLessThanOrEqual(10_000 + 5 * inFlightMax);
  await annotate(`Went on after ${healedMs.map((ms) => `${(ms / 1_000).toFixed(1)} s`).join(', ')}.`);
  for (const ms of healedMs) expect(ms).toBeLessThan(5_000);
});
