import { expect, test } from 'vitest';
import { createOutage } from '../../src/stream/outage.ts';
import { createTestLog } from '../support/log-events.ts';

function openOutage() {
  const { log, sentences } = createTestLog();
  return { outage: createOutage(log, { began: 'began', ended: 'ended' }), sentences };
}

const fail = (outage: ReturnType<typeof createOutage>, times: number) =>
  Array.from({ length: times }, () => outage.failed(new Error('away')));

test('an outage is logged once and its end once, however often it is tried meanwhile', () => {
  const { outage, sentences } = openOutage();
  outage.over();
  fail(outage, 20);
  outage.over();
  outage.over();
  expect(sentences).toEqual(['began', 'ended']);
});

test('pauses between attempts grow, up to two seconds', () => {
  const { outage } = openOutage();
  const pauses = fail(outage, 20);
  expect(pauses[0]).toBeLessThanOrEqual(50);
  expect(Math.min(...pauses.slice(6))).toBeGreaterThanOrEqual(1_000);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(2_000);
});

test('what fails again at once is not tried more often for having answered in between', () => {
  const { outage, sentences } = openOutage();
  fail(outage, 20);
  outage.over();
  expect(fail(outage, 1)[0]).toBeGreaterThanOrEqual(1_000);
  expect(sentences).toEqual(['began', 'ended', 'began']);
});
