import { expect, test } from 'vitest';
import { stopUnderLoad } from '../support/mutation-load.ts';

const rounds = 10;

test('ten programs that are asked to stop under load fail no mutation, and none takes 10 seconds', async ({
  annotate,
}) => {
  let acknowledgedCount = 0;
  let longestMs = 0;
  for (let seed = 1; seed <= rounds; seed += 1) {
    const clients = 16;
    const { ending, stopMs, acknowledged, written, failures, refusedCount } = await stopUnderLoad({ seed, clients });
    expect(failures).toEqual([]);
    expect(refusedCount).toBe(clients);
    expect(written.sort()).toEqual(acknowledged.sort());
    expect(ending).toEqual({ exitCode: 0, signal: null });
    acknowledgedCount += acknowledged.length;
    longestMs = Math.max(longestMs, stopMs);
  }
  expect(longestMs).toBeLessThan(10_000);
  const seconds = (longestMs / 1_000).toFixed(1);
  await annotate(`${acknowledgedCount} mutations acknowledged and none failed; the slowest stop took ${seconds} s.`);
});
