import { expect, test, vi } from 'vitest';
import { restartUnderLoad } from '../support/restart-under-load.ts';
import { inFlightMax } from '../support/thousand-sms.ts';

// A PostgreSQL and a program start, and the former once more.
vi.setConfig({ testTimeout: 120_000 });

test('a program whose PostgreSQL is restarted in the middle of a thousand deliveries goes on, and sends each', async () => {
  const { progress, reached, requests } = await restartUnderLoad({ thousands: 1, restarts: 1 });
  expect(progress).toMatchObject({ total: 1_000, sent: 1_000, queued: 0, sending: 0, failed: 0 });
  expect(reached).toBe(1_000);
  expect(requests).toBeLessThanOrEqual(1_000 + inFlightMax);
});
