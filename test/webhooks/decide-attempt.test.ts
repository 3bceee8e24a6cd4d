import { describe, expect, test } from 'vitest';
import { decideAttempt } from '../../src/webhooks/decide-attempt.ts';

const now = { failures: 0, failingMs: 0, random: 0.5 };
const day = 86_400_000;

describe('an attempt to tell a webhook', () => {
  test.each([200, 201, 202, 204, 299])('that is answered %i is told', (status) => {
    expect(decideAttempt({ status }, now)).toEqual({ kind: 'TOLD' });
    expect(decideAttempt({ status }, { ...now, failingMs: 2 * day })).toEqual({ kind: 'TOLD' });
  });

  test.each([301, 302, 400, 401, 404, 429, 500, 503])('that is answered %i is made again', (status) => {
    expect(decideAttempt({ status }, now)).toEqual({ kind: 'RETRY', failure: String(status), delayMs: 5_000 });
  });

  test('that reaches nobody is made again, later and later, an hour and a half apart at most', () => {
    const delays = [0, 1, 2, 3, 9, 10, 100].map((failures) => {
      const decision = decideAttempt({ failure: 'ECONNREFUSED' }, { ...now, failures });
      return decision.kind === 'RETRY' ? decision.delayMs : null;
    });
    expect(delays).toEqual([5_000, 10_000, 20_000, 40_000, 2_560_000, 3_600_000, 3_600_000]);
    expect(decideAttempt({ failure: 'a' }, { ...now, random: 0 })).toMatchObject({ delayMs: 2_500 });
    expect(decideAttempt({ failure: 'a' }, { ...now, failures: 99, random: 1 })).toMatchObject({ delayMs: 5_400_000 });
  });

  test('waits for as long as it is asked to', () => {
    expect(decideAttempt({ status: 503, retryAfter: '120' }, now)).toMatchObject({ delayMs: 120_000 });
    expect(decideAttempt({ status: 503, retryAfter: '1' }, now)).toMatchObject({ delayMs: 5_000 });
  });

  test('is the last one after a day, or when nobody wants it any more', () => {
    expect(decideAttempt({ status: 503 }, { ...now, failures: 30, failingMs: day })).toEqual({
      kind: 'DISABLE',
      failure: '503',
    });
    expect(decideAttempt({ status: 410 }, now)).toEqual({ kind: 'DISABLE', failure: '410' });
  });
});
