import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Channel, Message } from '../../src/channels/channel.ts';
import type { TwilioOptions } from '../../src/channels/twilio.ts';
import { createTwilioSmsChannel } from '../../src/channels/twilio-sms.ts';
import { createTwilioWhatsAppChannel } from '../../src/channels/twilio-whatsapp.ts';
import { type FakeTwilio, startFakeTwilio } from '../support/fakes/fake-twilio.ts';
import { makeMessage } from '../support/make-message.ts';

const never = new AbortController().signal;
const phone = '+385916242493';
const from = '+385912345678';

let twilio: FakeTwilio;
let sms: Channel;
let whatsApp: Channel;
beforeAll(async () => {
  twilio = await startFakeTwilio();
  sms = createTwilioSmsChannel(account());
  whatsApp = createTwilioWhatsAppChannel(account());
});
afterAll(() => twilio.close());

function account(options: Partial<TwilioOptions> = {}): TwilioOptions {
  return { baseUrl: twilio.baseUrl, accountSid: twilio.accountSid, authToken: twilio.authToken, from, ...options };
}

function toPhone(given: Omit<Parameters<typeof makeMessage>[0], 'channel' | 'address'> = {}): Message {
  return makeMessage({ channel: 'SMS', address: { kind: 'phone', phone }, ...given });
}

const inTenMinutes = () => new Date(Date.now() + 600_500);

describe('an SMS', () => {
  test('is in Twilio’s documented form', async () => {
    const content = { title: 'Parcel', body: 'is here', url: 'https://e.com/p' };
    expect(await sms.send(toPhone({ content, expiresAt: inTenMinutes() }), never)).toEqual({
      kind: 'accepted',
      providerCode: 'queued',
      providerMessageId: expect.stringMatching(/^SM[0-9a-f]{32}$/),
    });
    expect(twilio.messages.at(-1)).toEqual({
      To: phone,
      From: from,
      Body: 'Parcel\nis here\nhttps://e.com/p',
      ValidityPeriod: '600',
    });
  });

  test('goes by a Messaging Service where one is the sender', async () => {
    const service = `MG${'0'.repeat(32)}`;
    await createTwilioSmsChannel(account({ from: service })).send(toPhone(), never);
    expect(twilio.messages.at(-1)).toMatchObject({ MessagingServiceSid: service });
    expect(twilio.messages.at(-1)).not.toHaveProperty('From');
  });

  test.each(['MG Motor', 'MGM', `MG${'0'.repeat(31)}`])('goes by %s, which only begins like one', async (name) => {
    await createTwilioSmsChannel(account({ from: name })).send(toPhone(), never);
    expect(twilio.messages.at(-1)).toMatchObject({ From: name });
    expect(twilio.messages.at(-1)).not.toHaveProperty('MessagingServiceSid');
  });

  test('says where its receipts go, and of which delivery they are', async () => {
    const toStatusCallback = (deliveryId: string) => `https://carillon.example/receipts/sms?delivery=${deliveryId}`;
    const message = toPhone();
    await createTwilioSmsChannel(account({ toStatusCallback })).send(message, never);
    expect(twilio.messages.at(-1)?.StatusCallback).toBe(toStatusCallback(message.deliveryId));
  });

  test.each([
    [0, '1'],
    [72 * 3_600_000, '36000'],
  ])('that lives %i ms more asks for %s seconds', async (lifeMs, seconds) => {
    await sms.send(toPhone({ expiresAt: new Date(Date.now() + lifeMs) }), never);
    expect(twilio.messages.at(-1)?.ValidityPeriod).toBe(seconds);
  });

  test('sent again is sent twice: Twilio has no key that would tell', async () => {
    const message = toPhone();
    const before = twilio.messages.length;
    await sms.send(message, never);
    await sms.send({ ...message, attempt: 2 }, never);
    expect(twilio.messages.length).toBe(before + 2);
  });

  test('with a wrong token stops the channel', async () => {
    const wrong = createTwilioSmsChannel(account({ authToken: 'wrong' }));
    expect(await wrong.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: '20003' });
  });

  test('of an account that there is not stops the channel', async () => {
    const wrong = createTwilioSmsChannel(account({ accountSid: `AC${'0'.repeat(32)}` }));
    expect(await wrong.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: '20404' });
  });
});

describe('a WhatsApp', () => {
  test('is the same between WhatsApp addresses', async () => {
    await whatsApp.send(toPhone({ expiresAt: inTenMinutes() }), never);
    expect(twilio.messages.at(-1)).toEqual({
      To: `whatsapp:${phone}`,
      From: `whatsapp:${from}`,
      Body: 'Hello',
      ValidityPeriod: '600',
    });
  });

  test('by a template has its variables, and no text', async () => {
    const template = { template: `HX${'0'.repeat(32)}`, parameters: ['Ada', '17:00'] };
    await whatsApp.send(toPhone({ content: { data: { whatsApp: template } }, expiresAt: inTenMinutes() }), never);
    expect(twilio.messages.at(-1)).toEqual({
      To: `whatsapp:${phone}`,
      From: `whatsapp:${from}`,
      ContentSid: template.template,
      ContentVariables: '{"1":"Ada","2":"17:00"}',
      ValidityPeriod: '600',
    });
  });

  test('by a template that cannot be read is not sent', async () => {
    const before = twilio.messages.length;
    const message = toPhone({ content: { data: { whatsApp: { template: '' } } } });
    expect(await whatsApp.send(message, never)).toEqual({
      kind: 'rejected',
      reason: 'RENDER_FAILED',
      providerCode: 'TEMPLATE_UNREADABLE',
    });
    expect(twilio.messages.length).toBe(before);
  });
});

describe('the reply', () => {
  test('that redirects is not followed', async () => {
    const location = `${twilio.baseUrl}/2010-04-01/Accounts/${twilio.accountSid}/Messages.json`;
    const before = twilio.messages.length;
    twilio.replyNext({ status: 307, headers: { location } });
    expect(await sms.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: '307' });
    expect(twilio.messages.length).toBe(before);
  });

  test('that asks to wait is obeyed', async () => {
    twilio.replyNext({ status: 429, headers: { 'retry-after': '2' }, body: '{"code":20429}' });
    expect(await sms.send(toPhone(), never)).toEqual({
      kind: 'retry',
      providerCode: '20429',
      isThrottled: true,
      retryAfterMs: 2_000,
    });
  });

  test.each([
    '',
    'garbage',
    '{}',
    '{"status":1}',
    '<html>',
    `{"status":"queued"}${' '.repeat(1_000_000)}x`,
  ])('%.30j is tried again', async (body) => {
    twilio.replyNext({ status: 201, body });
    expect(await sms.send(toPhone(), never)).toEqual({ kind: 'retry', providerCode: 'REPLY_UNREADABLE' });
  });

  test.each([
    [301, 'channelDown'],
    [400, 'rejected PROVIDER_REJECTED'],
    [401, 'channelDown'],
    [403, 'channelDown'],
    [404, 'channelDown'],
    [405, 'channelDown'],
    [408, 'retry'],
    [413, 'rejected PROVIDER_REJECTED'],
    [429, 'retry throttled'],
    [500, 'retry'],
    [502, 'retry'],
    [503, 'retry'],
  ])('%i without a code is %s', async (status, expected) => {
    twilio.replyNext({ status, body: '<html>' });
    expect(toWords(await sms.send(toPhone(), never))).toBe(`${expected} (${status})`);
  });

  test('of a code that nobody knows is what its status says', async () => {
    twilio.refuseNext(503, 99_999);
    expect(toWords(await sms.send(toPhone(), never))).toBe('retry (99999)');
  });

  test.each([
    ['accepted', 'accepted'],
    ['queued', 'accepted'],
    ['scheduled', 'accepted'],
    ['sending', 'accepted'],
    ['sent', 'accepted'],
    ['delivered', 'accepted DELIVERED'],
    ['read', 'accepted DELIVERED'],
    ['canceled', 'rejected PROVIDER_REJECTED'],
    ['failed', 'rejected PROVIDER_REJECTED'],
    ['undelivered', 'rejected HARD_BOUNCE'],
  ])('of a message that is %s is %s', async (status, expected) => {
    twilio.replyNextStatus(status);
    expect(toWords(await sms.send(toPhone(), never))).toBe(`${expected} (${status})`);
  });

  test.each([
    ['with a NUL', 'SM\u0000'],
    ['of three kilobytes', 'S'.repeat(3_000)],
    ['that is no text', 7],
    ['that is empty', ''],
  ])('whose id cannot be stored, %s, is accepted without one: it would be sent again', async (_, sid) => {
    twilio.replyNext({ status: 201, body: JSON.stringify({ status: 'queued', sid }) });
    expect(await sms.send(toPhone(), never)).toEqual({ kind: 'accepted', providerCode: 'queued' });
  });

  test('of a status of tomorrow is tried again', async () => {
    twilio.replyNextStatus('pondering');
    expect(toWords(await sms.send(toPhone(), never))).toBe('retry (STATUS_UNKNOWN)');
  });

  test('of a message that failed at once is what its code says', async () => {
    twilio.replyNextStatus('failed', 30_005);
    expect(toWords(await sms.send(toPhone(), never))).toBe('gone (30005)');
  });
});

test.each([
  [
    'channelDown',
    [10001, 20003, 20005, 20006, 20404, 21212, 21601, 21603, 21660, 21661, 21701, 21702, 21704, 21705, 30002],
  ],
  ['channelDown', [63001, 63002, 63007, 63008, 63020, 63051, 63112]],
  ['retry', [20500, 20503, 21730, 30008, 63009, 63010, 63012, 63038]],
  ['retry throttled', [20429, 21611, 30001, 63017, 63018]],
  ['retry this one', [14107, 30003]],
  ['gone', [21211, 30005]],
  ['rejected HARD_BOUNCE', [21614, 21635, 30006, 63003, 63024]],
  ['rejected OPTED_OUT', [21610, 63014]],
  ['rejected PROVIDER_REJECTED', [21408, 21608, 21612, 21703, 30004, 30007, 30010, 30034, 30036, 63013, 63016, 63032]],
  ['rejected RENDER_FAILED', [21602, 21604, 21617, 21619, 21655, 21656, 21658, 63005, 63021, 63027, 63028]],
])('%s is what Twilio’s codes %j mean', async (expected, codes) => {
  for (const code of codes) {
    twilio.refuseNext(400, code);
    expect(toWords(await sms.send(toPhone(), never))).toBe(`${expected} (${code})`);
  }
});

test.each([
  21606, 21659,
])('a sender that is refused (%i) stops the channel, but a short code only that message', async (code) => {
  twilio.refuseNext(400, code);
  expect(toWords(await sms.send(toPhone(), never))).toBe(`channelDown (${code})`);
  twilio.refuseNext(400, code);
  const short = createTwilioSmsChannel(account({ from: '12345' }));
  expect(toWords(await short.send(toPhone(), never))).toBe(`rejected PROVIDER_REJECTED (${code})`);
});

function toWords(outcome: Awaited<ReturnType<Channel['send']>>): string {
  const detail =
    outcome.kind === 'rejected' ? outcome.reason : outcome.kind === 'accepted' ? outcome.receipt : undefined;
  const extent = outcome.kind === 'retry' && outcome.isMessageOnly ? 'this one' : undefined;
  const isThrottled = outcome.kind === 'retry' && outcome.isThrottled;
  return [outcome.kind, detail, extent, isThrottled && 'throttled', `(${outcome.providerCode})`]
    .filter(Boolean)
    .join(' ');
}
