import smpp from 'smpp';
import { afterEach, describe, expect, test } from 'vitest';
import type { Channel, Message } from '../../src/channels/channel.ts';
import { createSmppChannel, type SmppListener, type SmppOptions } from '../../src/channels/smpp.ts';
import { type FakeSmsc, startFakeSmsc } from '../support/fakes/fake-smsc.ts';
import { testCertificate } from '../support/fakes/test-certificate.ts';
import { makeMessage } from '../support/make-message.ts';
import { until } from '../support/until.ts';

const never = new AbortController().signal;
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A message centre and a channel to it, both closed after the test. */
async function open({
  isSecure = false,
  answerMs = 0,
  ...options
}: Partial<SmppOptions> & { isSecure?: boolean; answerMs?: number } = {}) {
  const smsc = await startFakeSmsc({ isSecure, answerMs });
  closers.push(smsc.close);
  return { smsc, channel: openTo(smsc, options) };
}

function openTo(smsc: FakeSmsc, options: Partial<SmppOptions> = {}): Channel {
  const channel = createSmppChannel({ url: smsc.url, from: '+385912345678', ...options });
  closers.push(channel.close);
  return channel;
}

function toPhone(body = 'Hello', given: Partial<Message> = {}): Message {
  const { content } = makeMessage({ channel: 'SMS', address: { kind: 'phone', phone: '+1' }, content: { body } });
  return makeMessage({ channel: 'SMS', address: { kind: 'phone', phone: '+385916242493' }, ...given, content });
}

/** Keeps what it hears. */
function makeListener() {
  const receipts: object[] = [];
  const messages: object[] = [];
  const listener: SmppListener = {
    takeReceipt: async (told) => void receipts.push(told),
    takeMessage: async (told) => void messages.push(told),
  };
  return { receipts, messages, listener };
}

const accepted = { kind: 'accepted', providerCode: 'ESME_ROK' };

describe('a message', () => {
  test('is submitted in the form of SMPP 3.4, over one bound session', async () => {
    const { smsc, channel } = await open();
    for (const _ of Array(3)) expect(await channel.send(toPhone(), never)).toEqual(accepted);
    expect(smsc.commands).toEqual(['bind_transmitter', 'submit_sm', 'submit_sm', 'submit_sm']);
    expect(smsc.parts[0]).toMatchObject({
      sender: '385912345678',
      senderTon: 1,
      to: '385916242493',
      text: 'Hello',
      dataCoding: 0,
      esmClass: 0,
      header: null,
      registeredDelivery: 0,
    });
  });

  test.each([
    ['+385912345678', '385912345678', 1],
    ['12345', '12345', 0],
    ['Carillon', 'Carillon', 5],
  ])('from %s says what kind of sender that is', async (from, sender, senderTon) => {
    const { smsc, channel } = await open({ from });
    await channel.send(toPhone(), never);
    expect(smsc.parts[0]).toMatchObject({ sender, senderTon });
  });

  test.each([
    [0, 1_000],
    [90_061_500, 90_061_000],
  ])('that lives %i ms more says so', async (lifeMs, saidMs) => {
    const { smsc, channel } = await open();
    await channel.send(toPhone('Hello', { expiresAt: new Date(Date.now() + lifeMs) }), never);
    // The library reads a relative time as the time that it means.
    const [validUntil] = smsc.parts.map(({ validity }) => validity);
    if (!(validUntil instanceof Date)) throw new Error('The validity was not read.');
    expect(Math.abs(validUntil.getTime() - Date.now() - saidMs)).toBeLessThan(5_000);
  });

  test('that is too long for any phone is not sent', async () => {
    const { smsc, channel } = await open();
    expect(await channel.send(toPhone('a'.repeat(153 * 25 + 1)), never)).toEqual({
      kind: 'rejected',
      reason: 'RENDER_FAILED',
      providerCode: 'TEXT_TOO_LONG',
    });
    expect(smsc.commands).toEqual([]);
  });
});

describe('a text', () => {
  test.each([
    ['of the GSM alphabet', 'Grüße & €[x] {y} ~^|\\ñ', 0],
    ['with any other character', 'Zvono č 🔔', 8],
    ['with an escape of its own', 'a\u001be', 8],
  ])('%s arrives as it is', async (_, body, dataCoding) => {
    const { smsc, channel } = await open();
    await channel.send(toPhone(body), never);
    expect(smsc.parts).toMatchObject([{ text: body, dataCoding, header: null }]);
  });

  test.each([
    ['160 septets', 'a'.repeat(160), [160]],
    ['161 septets', 'a'.repeat(161), [153, 8]],
    ['160 septets with an escape', `${'a'.repeat(158)}€`, [159]],
    ['an escape at the cut', `${'a'.repeat(152)}€${'a'.repeat(10)}`, [152, 11]],
    ['70 units', 'č'.repeat(70), [70]],
    ['71 units', 'č'.repeat(71), [67, 4]],
    ['a surrogate pair at the cut', `${'č'.repeat(66)}🔔čččččč`, [66, 8]],
  ])('of %s goes in as many parts, and none cuts a character', async (_, body, lengths) => {
    const { smsc, channel } = await open();
    expect(await channel.send(toPhone(body), never)).toEqual(accepted);
    expect(smsc.parts.map(({ text }) => text.length)).toEqual(lengths);
    expect(smsc.parts.map(({ text }) => text).join('')).toBe(body);
    expect(smsc.parts.map(({ esmClass }) => esmClass)).toEqual(lengths.map(() => (lengths.length > 1 ? 0x40 : 0)));
  });

  test('in parts is joined by a header, the same when it is sent again', async () => {
    const { smsc, channel } = await open();
    const message = toPhone('a'.repeat(400));
    await channel.send(message, never);
    await channel.send({ ...message, attempt: 2 }, never);
    const headers = smsc.parts.map(({ header }) => header ?? '');
    expect(headers.slice(0, 3)).toEqual(
      [1, 2, 3].map((part) => expect.stringMatching(new RegExp(`^0003..030${part}$`))),
    );
    expect(headers.slice(3)).toEqual(headers.slice(0, 3));
    expect(new Set(headers.map((header) => header.slice(4, 6))).size).toBe(1);
  });

  test('of which a part is refused is what that answer says', async () => {
    const { smsc, channel } = await open();
    await channel.send(toPhone(), never);
    smsc.refuseNext('submit_sm', smpp.errors.ESME_RTHROTTLED ?? 0);
    expect(await channel.send(toPhone('a'.repeat(400)), never)).toMatchObject({ kind: 'retry' });
    expect(smsc.parts).toHaveLength(1);
  });
});

test('a text of which the SMSC has taken a part is an attempt when the next one comes too fast: it is sent from its start again', async () => {
  const { smsc, channel } = await open();
  const outcome = channel.send(toPhone('a'.repeat(400)), never);
  await smsc.received(1);
  smsc.refuseNext('submit_sm', smpp.errors.ESME_RTHROTTLED ?? 0);
  expect(await outcome).toEqual({ kind: 'retry', providerCode: 'ESME_RTHROTTLED', isMessageOnly: true });
  expect(smsc.parts.length).toBeGreaterThan(0);
});

describe('a session', () => {
  test('by TLS is taken from an SMSC whose certificate is trusted, and from no other', async () => {
    const { smsc, channel } = await open({ isSecure: true, ca: testCertificate.cert });
    expect(await channel.send(toPhone(), never)).toEqual(accepted);
    expect(await openTo(smsc).send(toPhone(), never)).toEqual({
      kind: 'retry',
      providerCode: expect.stringMatching(/CERT/),
    });
    expect(smsc.parts).toHaveLength(1);
  });

  test('with a wrong password stops the channel', async () => {
    const { smsc } = await open();
    const wrong = openTo(smsc, { url: smsc.url.replace('right', 'wrong') });
    expect(await wrong.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: 'ESME_RINVPASWD' });
  });

  test('that was lost is opened again by the next send', async () => {
    const { smsc, channel } = await open();
    await channel.send(toPhone(), never);
    smsc.hangUp();
    await until(async () => (await channel.send(toPhone(), never)).kind === 'accepted');
    expect(smsc.commands.filter((command) => command === 'bind_transmitter')).toHaveLength(2);
  });

  test('is opened once by all who send at the same time', async () => {
    const { smsc, channel } = await open();
    await Promise.all(Array.from({ length: 40 }, () => channel.send(toPhone(), never)));
    expect(smsc.commands.filter((command) => command === 'bind_transmitter')).toHaveLength(1);
    expect(smsc.parts).toHaveLength(40);
  });

  test('has no more messages without an answer than its window', async () => {
    const { smsc, channel } = await open({ windowSize: 4, answerMs: 5 });
    await Promise.all(Array.from({ length: 40 }, () => channel.send(toPhone(), never)));
    expect(smsc.mostUnderWay()).toBe(4);
  });

  test('has no message any more that was given up before its turn', async () => {
    const { smsc, channel } = await open({ windowSize: 1, answerMs: 100 });
    const first = channel.send(toPhone('first'), never);
    await until(async () => smsc.commands.includes('submit_sm'));
    const givingUp = new AbortController();
    const second = channel.send(toPhone('second'), givingUp.signal);
    const third = channel.send(toPhone('third'), never);
    givingUp.abort();
    expect(await second).toEqual({ kind: 'retry', providerCode: 'ABORTED' });
    expect(await Promise.all([first, third])).toEqual([accepted, accepted]);
    expect(smsc.parts.map(({ text }) => text)).toEqual(['first', 'third']);
  });

  test('whose SMSC falls silent is given up, with all that wait, and the next send opens another', async () => {
    const { smsc, channel } = await open({ timeoutMs: 200, windowSize: 2 });
    await channel.send(toPhone(), never);
    smsc.fallSilent();
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => channel.send(toPhone(), never)));
    expect(outcomes).toEqual(Array(6).fill({ kind: 'retry', providerCode: 'TIMEOUT' }));
    await channel.send(toPhone(), never);
    expect(smsc.commands.filter((command) => command === 'bind_transmitter')).toHaveLength(2);
  });

  test('that is idle is seen to be alive, and answers when it is asked', async () => {
    const { smsc, channel } = await open({ enquireMs: 20 });
    await channel.send(toPhone(), never);
    await until(async () => smsc.commands.filter((command) => command === 'enquire_link').length > 1);
    expect(await smsc.tell('enquire_link', {})).toMatchObject({ command: 'enquire_link_resp', command_status: 0 });
  });

  test('that the SMSC ends is answered, and opened again', async () => {
    const { smsc, channel } = await open();
    await channel.send(toPhone(), never);
    expect(await smsc.tell('unbind', {})).toMatchObject({ command: 'unbind_resp' });
    await until(async () => (await channel.send(toPhone(), never)).kind === 'accepted');
  });

  test('is unbound when the channel is closed', async () => {
    const { smsc, channel } = await open();
    await channel.send(toPhone(), never);
    await channel.close();
    expect(smsc.commands.at(-1)).toBe('unbind');
  });
});

describe('a channel that is closed', () => {
  test('ends its session after what is being sent', async () => {
    const { smsc, channel } = await open({ answerMs: 20 });
    const outcomes = Array.from({ length: 3 }, () => channel.send(toPhone(), never));
    await smsc.received(1);
    await channel.close();
    expect(await Promise.all(outcomes)).toEqual([accepted, accepted, accepted]);
    await until(async () => smsc.commands.at(-1) === 'unbind');
  });

  test('keeps no session that was being opened for a send that was given up', async () => {
    const { smsc, channel } = await open();
    const controller = new AbortController();
    const outcome = channel.send(toPhone(), controller.signal);
    controller.abort();
    expect(await outcome).toEqual({ kind: 'retry', providerCode: 'ABORTED' });
    await channel.close();
    expect(smsc.commands).toEqual([]);
    await until(async () => smsc.commands.length === 2);
    expect(smsc.commands).toEqual(['bind_transmitter', 'unbind']);
  });

  test('keeps no session for a send that comes late', async () => {
    const { smsc, channel } = await open();
    await channel.close();
    expect(await channel.send(toPhone(), never)).toEqual(accepted);
    await until(async () => smsc.commands.at(-1) === 'unbind');
  });
});

describe('a receipt', () => {
  const receipt = (messageId: string, rest: string) => ({
    esm_class: 0x04,
    source_addr: '385916242493',
    short_message: `id:${messageId} sub:001 dlvrd:001 submit date:2611272130 done date:2611272131 ${rest} text:Hello`,
  });

  test.each([
    ['stat:DELIVRD err:000', {}, 'DELIVERED', 'DELIVRD 000'],
    ['stat:UNDELIV err:034', {}, 'BOUNCED', 'UNDELIV 034'],
    ['stat:EXPIRED err:001', {}, 'BOUNCED', 'EXPIRED 001'],
    ['stat:REJECTD err:001', {}, 'BOUNCED', 'REJECTD 001'],
    ['stat:DELETED err:001', {}, 'BOUNCED', 'DELETED 001'],
    ['stat:ENROUTE err:000', { message_state: 2 }, 'DELIVERED', 'DELIVRD 000'],
    ['', { message_state: 5 }, 'BOUNCED', 'UNDELIV'],
  ] as const)('that says %s %j is told with what the message was called', async (text, parameters, status, providerCode) => {
    const { receipts, listener } = makeListener();
    const { smsc, channel } = await open({ listener });
    const outcome = await channel.send(toPhone(), never);
    expect(outcome).toEqual({ ...accepted, providerMessageId: expect.stringMatching(/^smpp:[0-9a-f]{16}:message-1$/) });
    const { providerMessageId } = outcome.kind === 'accepted' ? outcome : {};
    expect(smsc.commands[0]).toBe('bind_transceiver');
    expect(smsc.parts[0]).toMatchObject({ registeredDelivery: 1 });
    const messageId = smsc.parts[0]?.messageId ?? '';
    const answer = await smsc.tell('deliver_sm', { ...receipt(messageId, text), ...parameters });
    expect(answer).toMatchObject({ command: 'deliver_sm_resp', command_status: 0 });
    expect(receipts).toEqual([{ providerMessageId, status, providerCode }]);
  });

  test.each([
    ['of no end', receipt('message-1', 'stat:ENROUTE')],
    ['of the person, not the SMSC', { ...receipt('message-1', 'stat:DELIVRD'), esm_class: 0x10 }],
    ['of an id that cannot be stored', receipt('mess\0age-1', 'stat:DELIVRD')],
    ['of an id longer than any', receipt('9'.repeat(65), 'stat:DELIVRD')],
    ['that cannot be read', { esm_class: 0x04, short_message: 'Hello' }],
  ])('%s is answered and passed over', async (_, parameters) => {
    const { receipts, messages, listener } = makeListener();
    const { smsc, channel } = await open({ listener });
    await channel.send(toPhone(), never);
    expect(await smsc.tell('deliver_sm', parameters)).toMatchObject({ command_status: 0 });
    expect([...receipts, ...messages]).toEqual([]);
  });

  test('is heard by another channel to the same account, and is another one’s of another account', async () => {
    const [first, second] = [makeListener(), makeListener()];
    const { smsc, channel } = await open({ listener: first.listener });
    const outcome = await channel.send(toPhone(), never);
    await channel.close();
    const again = openTo(smsc, { listener: second.listener });
    await again.listen?.();
    await smsc.tell('deliver_sm', receipt('message-1', 'stat:DELIVRD'));
    const { providerMessageId } = outcome.kind === 'accepted' ? outcome : {};
    expect(second.receipts).toMatchObject([{ providerMessageId }]);
    const elsewhere = await open({ listener: first.listener, url: smsc.url.replace('127.0.0.1', 'localhost') });
    expect(await elsewhere.channel.send(toPhone(), never)).not.toMatchObject({ providerMessageId });
  });

  test.each([
    ['Ab3F', '0000ab3f'],
    ['00000007', '7'],
    ['0', '0000000000'],
  ])('of %s is understood where it says %s', async (submitted, told) => {
    const { receipts, listener } = makeListener();
    const { smsc, channel } = await open({ listener });
    smsc.nameNext(submitted);
    const outcome = await channel.send(toPhone(), never);
    await smsc.tell('deliver_sm', receipt(told, 'stat:DELIVRD'));
    const { providerMessageId } = outcome.kind === 'accepted' ? outcome : {};
    expect(receipts).toMatchObject([{ providerMessageId: providerMessageId ?? 'none' }]);
  });

  test.each([
    '9'.repeat(65),
    'mess age',
  ])('of a message whose id could not be stored, %s, is not waited for', async (messageId) => {
    const { smsc, channel } = await open({ listener: makeListener().listener });
    smsc.nameNext(messageId);
    expect(await channel.send(toPhone(), never)).toEqual(accepted);
  });

  test('of a message in parts is asked for once, and is that of the last', async () => {
    const { listener } = makeListener();
    const { smsc, channel } = await open({ listener });
    const outcome = await channel.send(toPhone('a'.repeat(400)), never);
    expect(smsc.parts.map(({ registeredDelivery }) => registeredDelivery)).toEqual([0, 0, 1]);
    expect(outcome).toMatchObject({ providerMessageId: expect.stringMatching(/:message-3$/) });
  });

  test('that comes as data_sm is heard as well', async () => {
    const { receipts, listener } = makeListener();
    const { smsc, channel } = await open({ listener });
    await channel.listen?.();
    const { short_message: text, ...rest } = receipt('message-1', 'stat:DELIVRD');
    const answer = await smsc.tell('data_sm', { ...rest, message_payload: text });
    expect(answer).toMatchObject({ command: 'data_sm_resp', command_status: 0 });
    expect(receipts).toMatchObject([{ status: 'DELIVERED' }]);
  });

  test('that cannot be recorded is to be brought again', async () => {
    const { listener } = makeListener();
    const refuse = () => Promise.reject(new Error('The database is away.'));
    const { smsc, channel } = await open({ listener: { ...listener, takeReceipt: refuse } });
    await channel.listen?.();
    expect(await smsc.tell('deliver_sm', receipt('message-1', 'stat:DELIVRD'))).toMatchObject({
      command_status: smpp.errors.ESME_RX_T_APPN,
    });
  });

  test('that is being recorded is answered before the channel closes', async () => {
    const { listener } = makeListener();
    const recorded = Promise.withResolvers<void>();
    const { smsc, channel } = await open({ listener: { ...listener, takeReceipt: () => recorded.promise } });
    await channel.listen?.();
    const answer = smsc.tell('deliver_sm', receipt('message-1', 'stat:DELIVRD'));
    // By the time that this is answered, the one before has been heard.
    await smsc.tell('enquire_link', {});
    const closed = channel.close();
    recorded.resolve();
    expect(await answer).toMatchObject({ command_status: 0 });
    await closed;
    expect(smsc.commands.slice(-2)).toEqual(['deliver_sm_resp', 'unbind']);
  });
});

describe('a message from a phone', () => {
  const written = { source_addr_ton: 1, source_addr_npi: 1, source_addr: '385916242493', esm_class: 0 };

  test.each([
    ['in the GSM alphabet', { short_message: 'Stop', data_coding: 0 }, 'Stop'],
    ['in UCS-2', { short_message: 'Arrêt č', data_coding: 8 }, 'Arrêt č'],
    ['in a payload', { short_message: '', message_payload: 'STOP', data_coding: 0 }, 'STOP'],
  ])('%s is told with its number', async (_, parameters, text) => {
    const { receipts, messages, listener } = makeListener();
    const { smsc, channel } = await open({ listener });
    await channel.listen?.();
    expect(await smsc.tell('deliver_sm', { ...written, ...parameters })).toMatchObject({ command_status: 0 });
    expect(messages).toEqual([{ phone: '385916242493', text }]);
    expect(receipts).toEqual([]);
  });

  test.each([
    ['a national number', { source_addr_ton: 2 }],
    ['a name', { source_addr_ton: 5, source_addr: 'Bank' }],
  ])('from %s is nobody’s', async (_, parameters) => {
    const { messages, listener } = makeListener();
    const { smsc, channel } = await open({ listener });
    await channel.listen?.();
    const answer = await smsc.tell('deliver_sm', { ...written, short_message: 'STOP', ...parameters });
    expect(answer).toMatchObject({ command_status: 0 });
    expect(messages).toEqual([]);
  });
});

describe('a channel that listens', () => {
  test('is bound without a send, once, and again when the session was lost', async () => {
    const { smsc, channel } = await open({ listener: makeListener().listener });
    await Promise.all([channel.listen?.(), channel.listen?.()]);
    await channel.send(toPhone(), never);
    expect(smsc.commands).toEqual(['bind_transceiver', 'submit_sm']);
    smsc.hangUp();
    await until(async () => {
      await channel.listen?.();
      return smsc.commands.length === 3;
    });
    expect(smsc.commands.at(-1)).toBe('bind_transceiver');
  });

  test('is not bound when nobody hears, nor after it was closed', async () => {
    const { smsc, channel } = await open();
    await channel.listen?.();
    const closed = openTo(smsc, { listener: makeListener().listener });
    await closed.close();
    await closed.listen?.();
    expect(smsc.commands).toEqual([]);
  });

  test('says that it is refused', async () => {
    const { smsc } = await open();
    const wrong = openTo(smsc, { url: smsc.url.replace('right', 'wrong'), listener: makeListener().listener });
    await expect(wrong.listen?.()).rejects.toThrow('The SMSC refused the bind.');
  });
});

const submitStatuses: Record<string, string[]> = {
  'rejected RENDER_FAILED': [
    'RINVMSGLEN',
    'RINVCMDLEN',
    'RINVPRTFLG',
    'RINVREGDLVFLG',
    'RINVESMCLASS',
    'RINVEXPIRY',
    'RINVTLVVAL',
    'RINVDCS',
  ],
  'rejected HARD_BOUNCE': ['RINVDSTADR'],
  'rejected PROVIDER_REJECTED': [
    'RSUBMITFAIL',
    'RX_P_APPN',
    'RX_R_APPN',
    'RDELIVERYFAILURE',
    'RSERTYPDENIED',
    'RQUERYFAIL',
  ],
  channelDown: [
    'RINVCMDID',
    'RINVSRCADR',
    'RINVSERTYP',
    'RINVSRCTON',
    'RINVSRCNPI',
    'RINVDSTTON',
    'RINVDSTNPI',
    'RSERTYPUNAUTH',
    'RPROHIBITED',
  ],
  retry: ['RINVBNDSTS', 'RSYSERR', 'RX_T_APPN', 'RUNKNOWNERR', 'RSERTYPUNAVAIL'],
  'retry throttled': ['RMSGQFUL', 'RTHROTTLED'],
};

test.each(Object.entries(submitStatuses))('%s is what these answers to a submit mean: %j', async (expected, names) => {
  const { smsc, channel } = await open();
  for (const name of names) {
    smsc.refuseNext('submit_sm', smpp.errors[`ESME_${name}`] ?? 0);
    expect(toWords(await channel.send(toPhone(), never))).toBe(`${expected} (ESME_${name})`);
  }
});

test('an answer of the SMSC’s own is a refusal, told by its number', async () => {
  const { smsc, channel } = await open();
  smsc.refuseNext('submit_sm', 0x40b);
  expect(toWords(await channel.send(toPhone(), never))).toBe('rejected PROVIDER_REJECTED (0x0000040B)');
});

test('a session that is not bound to the SMSC’s mind is opened again', async () => {
  const { smsc, channel } = await open();
  smsc.refuseNext('submit_sm', smpp.errors.ESME_RINVBNDSTS ?? 0);
  await channel.send(toPhone(), never);
  expect(await channel.send(toPhone(), never)).toEqual(accepted);
  expect(smsc.commands.filter((command) => command === 'bind_transmitter')).toHaveLength(2);
});

test.each([
  ['channelDown', ['RBINDFAIL', 'RINVPASWD', 'RINVSYSID', 'RINVSYSTYP', 'RPROHIBITED']],
  ['retry', ['RALYBND', 'RSYSERR', 'RX_T_APPN']],
  ['retry throttled', ['RMSGQFUL', 'RTHROTTLED']],
])('%s is what these answers to a bind mean: %j', async (expected, names) => {
  const { smsc, channel } = await open();
  for (const name of names) {
    smsc.refuseNext('bind_transmitter', smpp.errors[`ESME_${name}`] ?? 0);
    expect(toWords(await channel.send(toPhone(), never))).toBe(`${expected} (ESME_${name})`);
  }
});

function toWords(outcome: Awaited<ReturnType<Channel['send']>>): string {
  const detail = outcome.kind === 'rejected' ? outcome.reason : undefined;
  const extent = outcome.kind === 'retry' && outcome.isThrottled ? 'throttled' : undefined;
  return [outcome.kind, detail, extent, `(${outcome.providerCode})`].filter(Boolean).join(' ');
}
