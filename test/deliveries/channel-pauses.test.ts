import { beforeEach, describe, expect, test } from 'vitest';
import type { SendOutcome } from '../../src/channels/channel.ts';
import { hastenProbes, type Provider } from '../../src/deliveries/channel-pause-store.ts';
import { type ChannelPauses, createChannelPauses } from '../../src/deliveries/channel-pauses.ts';
import { useDatabase } from '../support/database.ts';
import { createTestLog } from '../support/log-events.ts';
import { makeApp } from '../support/make-app.ts';

const database = useDatabase();
const pauseMs = 60_000;

const accepted: SendOutcome = { kind: 'accepted', providerCode: null };
const rejected: SendOutcome = { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: '550' };
const suspect: SendOutcome = { ...rejected, providerCode: 'SENDER_ID_MISMATCH', isSuspect: true };
const refused: SendOutcome = { kind: 'channelDown', providerCode: '535' };
const greylisted: SendOutcome = { kind: 'retry', providerCode: '451', isMessageOnly: true };
const failed: SendOutcome = { kind: 'retry', providerCode: 'TIMEOUT' };
const throttled: SendOutcome = { kind: 'retry', providerCode: '429', isThrottled: true };
const putOff = { kind: 'putOff', delayMs: pauseMs };

let smtp: Provider;
let sms: Provider;
let sentences: string[];
let cutOff: AbortController;

beforeEach(async () => {
  await database.pool.query('delete from channel_pauses');
  const { id: appId } = await makeApp(database);
  smtp = { appId, channel: 'EMAIL', provider: 'smtp' };
  sms = { appId, channel: 'SMS', provider: 'twilio' };
  sentences = [];
  cutOff = new AbortController();
});

/** What a worker process knows, and what it says. */
function makeProcess(): ChannelPauses {
  const testLog = createTestLog();
  testLog.log.error = (_: unknown, sentence?: string) => void sentences.push(sentence ?? '');
  testLog.log.info = testLog.log.error;
  const { log } = testLog;
  const listProviders = () => [smtp, sms];
  return createChannelPauses({ db: database.db, log, listProviders, pauseMs, failuresMax: 3, signal: cutOff.signal });
}

/** A send by SMTP that ends so. */
const send = (pauses: ChannelPauses, outcome: SendOutcome, provider = smtp) =>
  pauses.guard(
    provider,
    toTurn(async () => outcome),
  );

const toTurn = (act: () => Promise<SendOutcome>, counts = true) => ({ wait: async () => true, send: act, counts });
const lose = () => Promise.reject(new Error('The database is lost.'));

const makeProbesDue = () => hastenProbes(database.db);
const listRows = () => database.db.channelPause.findMany();

describe('a provider that refuses', () => {
  test('is paused: nothing more is begun there, and others go on', async () => {
    const pauses = makeProcess();
    expect(await send(pauses, refused)).toEqual(refused);
    expect(await send(pauses, accepted)).toEqual(putOff);
    expect(await send(pauses, accepted, sms)).toEqual(accepted);
    expect(pauses.listPaused()).toEqual(['EMAIL']);
    expect(await listRows()).toMatchObject([{ ...smtp, cause: 'REFUSED', providerCode: '535' }]);
  });

  test('is paused for the other processes with their next batch, and for those that start later', async () => {
    const [one, other] = [makeProcess(), makeProcess()];
    await other.refresh();
    await send(one, refused);
    await other.refresh();
    const late = makeProcess();
    await late.refresh();
    expect([await send(other, accepted), await send(late, accepted)]).toEqual([putOff, putOff]);
  });

  test('is paused also for those who have waited for their turn meanwhile', async () => {
    const pauses = makeProcess();
    const turn = Promise.withResolvers<boolean>();
    const waiting = pauses.guard(smtp, { ...toTurn(async () => accepted), wait: () => turn.promise });
    await send(pauses, refused);
    turn.resolve(true);
    expect(await waiting).toEqual(putOff);
  });

  test('is told of once by all processes, and its end once', async () => {
    const processes = [makeProcess(), makeProcess(), makeProcess()];
    await Promise.all(processes.flatMap((pauses) => Array.from({ length: 5 }, () => send(pauses, refused))));
    await makeProbesDue();
    for (const pauses of processes) {
      await pauses.refresh();
      await send(pauses, accepted);
    }
    expect(sentences).toEqual(['A channel is down; its deliveries wait.', 'A channel that was down works again.']);
  });
});

describe('a provider that rejects as it would with wrong credentials', () => {
  test('many without taking one is paused, whatever else it answers between them', async () => {
    const pauses = makeProcess();
    for (const next of [suspect, failed, suspect, rejected, suspect]) expect(await send(pauses, next)).toEqual(next);
    expect(await send(pauses, accepted)).toEqual(putOff);
    expect(await listRows()).toMatchObject([{ ...smtp, cause: 'REFUSED', providerCode: 'SENDER_ID_MISMATCH' }]);
  });

  test('now and then, and takes one in between, is not', async () => {
    const pauses = makeProcess();
    for (const next of [suspect, suspect, accepted, suspect, suspect]) await send(pauses, next);
    expect(await listRows()).toEqual([]);
  });

  test('stays paused when the try is rejected so too', async () => {
    const pauses = makeProcess();
    await send(pauses, refused);
    await makeProbesDue();
    await pauses.refresh();
    expect([await send(pauses, suspect), await send(pauses, accepted)]).toEqual([suspect, putOff]);
    expect(await listRows()).toHaveLength(1);
  });
});

describe('a provider that fails', () => {
  test('many times in a row is paused, so that no more attempts are used up', async () => {
    const pauses = makeProcess();
    for (const _ of Array(3)) expect(await send(pauses, failed)).toEqual(failed);
    expect(await send(pauses, accepted)).toEqual(putOff);
    expect(await listRows()).toMatchObject([{ ...smtp, cause: 'UNAVAILABLE', providerCode: 'TIMEOUT' }]);
  });

  test.each([
    ['takes one', accepted],
    ['refuses only one', rejected],
    ['puts off only one', greylisted],
  ])('now and then, and %s in between, is not', async (_, outcome) => {
    const pauses = makeProcess();
    for (const next of [failed, failed, outcome, failed, failed]) await send(pauses, next);
    expect(pauses.listPaused()).toEqual([]);
    expect(await listRows()).toEqual([]);
  });

  test('is not paused for being too busy, which does not make up for failures either', async () => {
    const pauses = makeProcess();
    for (const _ of Array(10)) expect(await send(pauses, throttled)).toEqual(throttled);
    expect(pauses.listPaused()).toEqual([]);
    for (const next of [failed, throttled, failed, throttled, failed]) await send(pauses, next);
    expect(await listRows()).toMatchObject([{ cause: 'UNAVAILABLE', providerCode: 'TIMEOUT' }]);
  });

  test('because this process cuts it off is not', async () => {
    const pauses = makeProcess();
    cutOff.abort();
    for (const _ of Array(5)) await send(pauses, failed);
    expect(await listRows()).toEqual([]);
  });

  test('where each address is a service of its own is not', async () => {
    const pauses = makeProcess();
    for (const _ of Array(5))
      await pauses.guard(
        smtp,
        toTurn(async () => failed, false),
      );
    expect(await listRows()).toEqual([]);
  });

  test('because of ourselves is not', async () => {
    const pauses = makeProcess();
    for (const _ of Array(5)) {
      const thrown = pauses.guard(smtp, toTurn(lose));
      await expect(thrown).rejects.toThrow('lost');
    }
    expect(await listRows()).toEqual([]);
  });
});

describe('a send that its channel has not handed over', () => {
  const unsent: SendOutcome = { kind: 'retry', providerCode: 'ABORTED', isUnsent: true };

  test('is put off, due at once, and pauses nothing', async () => {
    const pauses = makeProcess();
    for (const _ of Array(5)) expect(await send(pauses, unsent)).toEqual({ kind: 'putOff', delayMs: 0 });
    expect(await listRows()).toEqual([]);
  });

  test('because its provider was paused while it waited there is put off until that is tried again', async () => {
    const pauses = makeProcess();
    const wait = Promise.withResolvers<void>();
    const waiting = pauses.guard(smtp, {
      ...toTurn(async () => accepted),
      async send(mayBegin) {
        await wait.promise;
        return mayBegin() ? accepted : unsent;
      },
    });
    await send(pauses, refused);
    wait.resolve();
    expect(await waiting).toEqual(putOff);
  });
});

describe('a try', () => {
  test('is one of all processes, once a pause', async () => {
    const processes = [makeProcess(), makeProcess(), makeProcess()];
    await send(makeProcess(), refused);
    await makeProbesDue();
    let tries = 0;
    const attempt = async (): Promise<SendOutcome> => {
      tries += 1;
      return refused;
    };
    for (const pauses of processes) await pauses.refresh();
    const turns = processes.flatMap((pauses) => Array.from({ length: 5 }, () => pauses.guard(smtp, toTurn(attempt))));
    expect((await Promise.all(turns)).filter(({ kind }) => kind === 'putOff')).toHaveLength(14);
    expect(tries).toBe(1);
  });

  test('that succeeds lets go at once those that came meanwhile', async () => {
    const pauses = makeProcess();
    await send(pauses, refused);
    await makeProbesDue();
    await pauses.refresh();
    expect(pauses.listPaused()).toEqual([]);
    expect(await Promise.all(Array.from({ length: 5 }, () => send(pauses, accepted)))).toEqual(Array(5).fill(accepted));
    expect(await listRows()).toEqual([]);
  });

  test('that fails keeps the pause', async () => {
    const pauses = makeProcess();
    await send(pauses, refused);
    await makeProbesDue();
    await pauses.refresh();
    expect([await send(pauses, failed), await send(pauses, accepted)]).toEqual([failed, putOff]);
    expect(await listRows()).toHaveLength(1);
  });

  test('that throws keeps the pause, and nobody waits for it', async () => {
    const pauses = makeProcess();
    await send(pauses, refused);
    await makeProbesDue();
    await pauses.refresh();
    const thrown = pauses.guard(smtp, toTurn(lose));
    const waiting = send(pauses, accepted);
    await expect(thrown).rejects.toThrow('lost');
    expect(await waiting).toEqual(putOff);
  });

  test('is not made when the pause was ended meanwhile: then everything goes', async () => {
    const pauses = makeProcess();
    await send(pauses, refused);
    await makeProbesDue();
    await pauses.refresh();
    await database.pool.query('delete from channel_pauses');
    expect(await Promise.all([send(pauses, accepted), send(pauses, accepted)])).toEqual([accepted, accepted]);
  });
});

test('a turn that is given up while it waits is put off, and due at once', async () => {
  const pauses = makeProcess();
  const turn = { ...toTurn(async () => accepted), wait: async () => false };
  expect(await pauses.guard(smtp, turn)).toEqual({ kind: 'putOff', delayMs: 0 });
});

test('a channel with a provider that works is not passed over', async () => {
  const { appId } = smtp;
  const push: Provider = { appId, channel: 'PUSH', provider: 'fcm' };
  const { log } = createTestLog();
  const listProviders = () => [push, { ...push, provider: 'apns' }];
  const pauses = createChannelPauses({ db: database.db, log, listProviders, pauseMs, signal: cutOff.signal });
  await send(pauses, refused, push);
  expect(pauses.listPaused()).toEqual([]);
  expect(await send(pauses, accepted, push)).toEqual(putOff);
  await send(pauses, refused, { ...push, provider: 'apns' });
  expect(pauses.listPaused()).toEqual(['PUSH']);
});
