import { describe, expect, test } from 'vitest';
import type { SendOutcome } from '../../src/channels/channel.ts';
import { attemptsMax, decideOutcome, decideRefusal } from '../../src/deliveries/decide-outcome.ts';
import { mayFollow } from '../../src/deliveries/delivery-state.ts';
import { DeliveryReason } from '../../src/generated/prisma/enums.ts';

const providerCode = 'CODE';
const chance = { random: 0.5, channelDownMs: 30_000 };
const delivery = { id: 'delivery', attempts: 1, channel: 'PUSH', addressRegisteredAt: null } as const;
const decide = (
  outcome: SendOutcome,
  over: Partial<{ attempts: number; channel: 'PUSH' | 'EMAIL' | 'SMS' | 'WHATSAPP' }> = {},
) => decideOutcome({ ...delivery, ...over }, outcome, chance);

describe('what a provider answered becomes', () => {
  test.each([
    ['accepted', { kind: 'accepted', providerCode }, 'SENT', null],
    ['accepted and delivered', { kind: 'accepted', providerCode, receipt: 'DELIVERED' }, 'SENT', null],
    ['accepted and bounced', { kind: 'accepted', providerCode, receipt: 'BOUNCED' }, 'SENT', null],
    ['rejected', { kind: 'rejected', providerCode, reason: 'PROVIDER_REJECTED' }, 'FAILED', 'PROVIDER_REJECTED'],
    ['not rendered', { kind: 'rejected', providerCode, reason: 'RENDER_FAILED' }, 'FAILED', 'RENDER_FAILED'],
    ['a hard bounce', { kind: 'rejected', providerCode, reason: 'HARD_BOUNCE' }, 'BOUNCED', 'HARD_BOUNCE'],
    [
      'an opt-out that the provider knows of',
      { kind: 'rejected', providerCode, reason: 'OPTED_OUT' },
      'DISCARDED',
      'OPTED_OUT',
    ],
    ['gone', { kind: 'gone', providerCode }, 'FAILED', 'ADDRESS_GONE'],
    ['to be tried again', { kind: 'retry', providerCode }, 'QUEUED', null],
    ['a channel that is down', { kind: 'channelDown', providerCode }, 'QUEUED', null],
  ] as const)('%s', (_, outcome, status, reason) => {
    const decided = decide(outcome);
    expect(decided).toMatchObject({ deliveryId: 'delivery', status, reason, providerCode });
    expect(mayFollow('SENDING', decided.status)).toBe(true);
  });
});

test.each(['EMAIL', 'SMS', 'WHATSAPP'] as const)('an address of %s that is gone is a hard bounce', (channel) => {
  expect(decide({ kind: 'gone', providerCode }, { channel })).toMatchObject({
    status: 'BOUNCED',
    reason: 'HARD_BOUNCE',
  });
});

describe('an address that is gone since a moment', () => {
  const since = new Date('2026-11-27T12:00:00Z');

  test.each([
    ['was registered before', '2026-11-27T11:59:59Z', 'FAILED'],
    ['was registered at that moment', '2026-11-27T12:00:00Z', 'FAILED'],
    ['was imported', null, 'FAILED'],
    ['was registered later, so that it is tried again', '2026-11-27T12:00:01Z', 'QUEUED'],
  ])('and %s', (_, registeredAt, status) => {
    const addressRegisteredAt = registeredAt === null ? null : new Date(registeredAt);
    expect(
      decideOutcome({ ...delivery, addressRegisteredAt }, { kind: 'gone', providerCode, since }, chance),
    ).toMatchObject({
      status,
      providerCode,
    });
  });
});

test('the wait doubles with each attempt, up to ten minutes', () => {
  const waits = Array.from(
    { length: attemptsMax - 1 },
    (_, index) => decide({ kind: 'retry', providerCode }, { attempts: index + 1 }).delayMs ?? 0,
  );
  expect(waits.map((ms) => ms / 1_000)).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
});

test('chance spreads the wait from a half to one and a half of it', () => {
  const waits = [0, 1].map(
    (random) => decideOutcome(delivery, { kind: 'retry', providerCode }, { ...chance, random }).delayMs,
  );
  expect(waits).toEqual([1_000, 3_000]);
});

test('a provider that asks for more time is given it, and up to a quarter more, so that not all come back at once', () => {
  const waits = [0, 0.5, 1].map(
    (random) =>
      decideOutcome(delivery, { kind: 'retry', providerCode, retryAfterMs: 60_000 }, { ...chance, random }).delayMs,
  );
  expect(waits).toEqual([60_000, 67_500, 75_000]);
});

test('a provider that asks for less time than the usual wait gets the usual wait', () => {
  expect(decide({ kind: 'retry', providerCode, retryAfterMs: 0 }).delayMs).toBe(2_000);
});

test('attempts end', () => {
  expect(decide({ kind: 'retry', providerCode }, { attempts: attemptsMax - 1 }).status).toBe('QUEUED');
  expect(decide({ kind: 'retry', providerCode, retryAfterMs: 1 }, { attempts: attemptsMax })).toEqual({
    deliveryId: 'delivery',
    status: 'FAILED',
    reason: 'PROVIDER_UNAVAILABLE',
    providerCode,
  });
});

test.each([
  ['EMAIL', 'BOUNCED', 'SOFT_BOUNCE'],
  ['SMS', 'BOUNCED', 'SOFT_BOUNCE'],
  ['PUSH', 'FAILED', 'PROVIDER_UNAVAILABLE'],
] as const)('attempts that only the recipient of an %s puts off end as %s, %s', (channel, status, reason) => {
  const greylisted = { kind: 'retry', providerCode, isMessageOnly: true } as const;
  expect(decide(greylisted, { channel, attempts: attemptsMax - 1 }).status).toBe('QUEUED');
  expect(decide(greylisted, { channel, attempts: attemptsMax })).toMatchObject({ status, reason, providerCode });
});

test('a channel that is down costs no attempt and fails nothing, however often', () => {
  expect(decide({ kind: 'channelDown', providerCode }, { attempts: 1_000 })).toEqual({
    deliveryId: 'delivery',
    status: 'QUEUED',
    reason: null,
    providerCode,
    delayMs: 30_000,
    isUncounted: true,
  });
});

describe('a provider that says that messages come too fast', () => {
  const throttled = { kind: 'retry', providerCode, isThrottled: true } as const;

  test('costs no attempt and fails nothing, however often: the message comes back after a second', () => {
    expect(decideOutcome({ ...delivery, attempts: 1_000 }, throttled, { ...chance, random: 0 })).toEqual({
      deliveryId: 'delivery',
      status: 'QUEUED',
      reason: null,
      providerCode,
      delayMs: 1_000,
      isUncounted: true,
    });
  });

  test.each([
    [0, 1_000, 1_250],
    [60_000, 60_000, 75_000],
  ])('and asks for %i ms is left alone for %i to %i ms', (retryAfterMs, least, most) => {
    const waits = [0, 1].map(
      (random) => decideOutcome(delivery, { ...throttled, retryAfterMs }, { ...chance, random }).delayMs,
    );
    expect(waits).toEqual([least, most]);
  });
});

test.each(Object.values(DeliveryReason))('a send refused for %s ends in a state that may follow a claim', (reason) => {
  const status = decideRefusal(reason);
  expect(mayFollow('SENDING', status)).toBe(true);
  expect(status).toBe(
    { TTL_PASSED: 'EXPIRED', CALLER_CANCELLED: 'CANCELLED', DEPERSONALIZED: 'CANCELLED', ERASED: 'CANCELLED' }[
      reason.toString()
    ] ?? 'DISCARDED',
  );
});
