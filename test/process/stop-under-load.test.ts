import { expect, test } from 'vitest';
import { stopUnderLoad } from '../support/mutation-load.ts';

test('a program that is asked to stop under load answers every mutation that was sent, and ends within seconds', async () => {
  const clients = 8;
  const { ending, stopMs, acknowledged, written, failures, refusedCount } = await stopUnderLoad({ seed: 1, clients });
  expect(failures).toEqual([]);
  expect(refusedCount).toBe(clients);
  expect(written.sort()).toEqual(acknowledged.sort());
  expect(ending).toEqual({ exitCode: 0, signal: null });
  expect(stopMs).toBeLessThan(10_000);
});
