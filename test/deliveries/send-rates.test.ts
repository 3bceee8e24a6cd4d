import { beforeEach, describe, expect, test, vi } from 'vitest';
import { createSendRates, toRatedService } from '../../src/deliveries/send-rates.ts';

const never = new AbortController().signal;
let nowMs: number;

beforeEach(() => {
  nowMs = 1_000_000;
});

const makeRates = () => createSendRates({ SMS: 10 }, { now: () => nowMs });

/** How many of so many sends go at once; the others wait. */
async function countAtOnce(rates: ReturnType<typeof makeRates>, count: number, signal = never): Promise<number> {
  let gone = 0;
  for (let index = 0; index < count; index += 1)
    void rates.take('SMS', signal).then((isGone) => (gone += Number(isGone)));
  await vi.waitFor(() => expect(gone).toBeGreaterThan(0));
  return gone;
}

test('a second’s worth goes at once, and the rest waits for its turn', async () => {
  const given = new AbortController();
  expect(await countAtOnce(makeRates(), 15, given.signal)).toBe(10);
  given.abort();
});

test('what is not used is kept for a second at most', async () => {
  const rates = makeRates();
  await countAtOnce(rates, 10);
  nowMs += 500;
  const given = new AbortController();
  expect(await countAtOnce(rates, 10, given.signal)).toBe(5);
  given.abort();
  nowMs += 3_600_000;
  const later = new AbortController();
  expect(await countAtOnce(rates, 30, later.signal)).toBe(10);
  later.abort();
});

test('a send waits as long as the rate says', async () => {
  const rates = createSendRates({ SMS: 20 });
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: 25 }, () => rates.take('SMS', never)));
  // The 21st to the 25th are 50 ms apart; a timer may be a little early.
  expect(performance.now() - startedAt).toBeGreaterThan(200);
});

test('a send that is given up while it waits is not made', async () => {
  const rates = makeRates();
  const given = new AbortController();
  const turns = Array.from({ length: 12 }, () => rates.take('SMS', given.signal));
  given.abort();
  expect((await Promise.all(turns)).slice(10)).toEqual([false, false]);
});

test('a channel with more than a second’s sends waiting is busy, and no other', async () => {
  const rates = makeRates();
  const given = new AbortController();
  const turns = Array.from({ length: 20 }, () => rates.take('SMS', given.signal));
  expect(rates.listBusy()).toEqual([]);
  turns.push(rates.take('SMS', given.signal));
  expect(rates.listBusy()).toEqual(['SMS']);
  nowMs += 500;
  expect(rates.listBusy()).toEqual([]);
  given.abort();
  await Promise.all(turns);
});

test('no more are begun together than go within a second, by the slowest service of each channel', () => {
  const rates = createSendRates({ SMS: 2, FCM: 1, APNS: 1_000 });
  const inApp = Array(100).fill('IN_APP');
  expect(rates.countTogether([...inApp, 'EMAIL', 'SMS', 'SMS', 'PUSH'])).toBe(104);
  expect(rates.countTogether(['SMS', 'IN_APP', 'SMS', 'IN_APP', 'SMS', 'IN_APP'])).toBe(4);
  expect(rates.countTogether(['PUSH', 'PUSH'])).toBe(1);
  expect(createSendRates({}).countTogether(['PUSH', 'PUSH'])).toBe(2);
});

test('a notification that has just had a turn lets others in while its sends wait, and no longer', async () => {
  const rates = makeRates();
  const given = new AbortController();
  const turns = Array.from({ length: 11 }, () => rates.take('SMS', given.signal, 'large'));
  expect(rates.listBusy('large')).toEqual(['SMS']);
  expect(rates.listBusy('small')).toEqual([]);
  nowMs += 500;
  expect(rates.listBusy('large')).toEqual([]);
  nowMs += 5_000;
  for (const _ of Array(15)) turns.push(rates.take('SMS', given.signal, 'small'));
  expect(rates.listBusy('small')).toEqual(['SMS']);
  expect(rates.listBusy('large')).toEqual([]);
  given.abort();
  await Promise.all(turns);
});

test('what a channel takes in a time is told by its slowest service, one at least', () => {
  const rates = createSendRates({ SMS: 2, FCM: 1, APNS: 1_000 });
  expect([...rates.countWithin(5_000)]).toEqual([
    ['PUSH', 5],
    ['SMS', 10],
  ]);
  expect(rates.countWithin(100).get('SMS')).toBe(1);
});

test('the services of push have rates of their own, and keep only their own channel from being claimed', async () => {
  const rates = createSendRates({ FCM: 1, APNS: 1_000 }, { now: () => nowMs });
  const given = new AbortController();
  const turns = Array.from({ length: 3 }, () => rates.take('FCM', given.signal));
  expect(rates.listBusy()).toEqual(['PUSH']);
  expect(await Promise.all((['APNS', 'WEB_PUSH', null] as const).map((one) => rates.take(one, never)))).toEqual([
    true,
    true,
    true,
  ]);
  given.abort();
  expect(await Promise.all(turns)).toEqual([true, false, false]);
});

test.each([
  ['PUSH', 'fcm', 'FCM'],
  ['PUSH', 'apns', 'APNS'],
  ['PUSH', 'webPush', 'WEB_PUSH'],
  ['EMAIL', 'email', 'EMAIL'],
  ['SMS', 'phone', 'SMS'],
  ['WHATSAPP', 'phone', 'WHATSAPP'],
  ['IN_APP', 'inbox', null],
] as const)('%s to an address of %s counts for the rate of %s', (channel, addressKind, service) => {
  expect(toRatedService(channel, addressKind)).toBe(service);
});

test('a channel without a rate is not held back', async () => {
  const rates = makeRates();
  const turns = Array.from({ length: 1_000 }, () => rates.take('EMAIL', never));
  expect(await Promise.all(turns)).toEqual(Array(1_000).fill(true));
  expect(rates.listBusy()).toEqual([]);
});

describe('a provider that is held back', () => {
  const sms = { appId: 'app', channel: 'SMS', provider: 'twilio' } as const;
  const fcm = { appId: 'app', channel: 'PUSH', provider: 'fcm' } as const;

  test('is so for as long as it asks for, and for a minute at most', () => {
    const rates = makeRates();
    rates.hold(sms, 5_000);
    rates.hold(sms, 1_000);
    expect(rates.heldMs(sms)).toBe(5_000);
    nowMs += 5_000;
    expect(rates.heldMs(sms)).toBe(0);
    rates.hold(sms, 3_600_000);
    expect(rates.heldMs(sms)).toBe(60_000);
  });

  test('keeps its channel from being claimed meanwhile, but not push, which has others', () => {
    const rates = makeRates();
    rates.hold(sms, 5_000);
    rates.hold(fcm, 5_000);
    expect(rates.listBusy()).toEqual(['SMS']);
    nowMs += 5_000;
    expect(rates.listBusy()).toEqual([]);
  });

  test('is held back alone: not another app’s', () => {
    const rates = makeRates();
    rates.hold(fcm, 5_000);
    expect(rates.heldMs({ ...fcm, appId: 'other' })).toBe(0);
  });
});
