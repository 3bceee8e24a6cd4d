import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Channel, Message } from '../../src/channels/channel.ts';
import {
  classifyInfobipReply,
  classifyInfobipStatus,
  createInfobipSmsChannel,
} from '../../src/channels/infobip-sms.ts';
import { type FakeInfobip, startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { makeMessage } from '../support/make-message.ts';

const never = new AbortController().signal;

let infobip: FakeInfobip;
let channel: Channel;
beforeAll(async () => {
  infobip = await startFakeInfobip();
  channel = createInfobipSmsChannel({ baseUrl: infobip.baseUrl, apiKey: infobip.apiKey, from: 'Carillon' });
});
afterAll(async () => {
  await channel.close();
  await infobip.close();
});

function toPhone(given: Omit<Parameters<typeof makeMessage>[0], 'channel' | 'address'> = {}): Message {
  return makeMessage({ channel: 'SMS', address: { kind: 'phone', phone: '+385916242493' }, ...given });
}

describe('the request', () => {
  test('is in Infobip’s documented form', async () => {
    const message = toPhone({
      content: { title: 'Parcel', body: 'is here', url: 'https://e.com/p' },
      expiresAt: new Date(Date.now() + 600_500),
    });
    const before = infobip.messages.length;
    expect(await channel.send(message, never)).toEqual({ kind: 'accepted', providerCode: 'PENDING_ACCEPTED' });
    expect((await infobip.received(before + 1))[before]).toEqual({
      sender: 'Carillon',
      to: '385916242493',
      text: 'Parcel\nis here\nhttps://e.com/p',
      messageId: message.deliveryId,
      validityMinutes: 10,
    });
  });

  test.each([
    [0, 1],
    [72 * 3_600_000, 2_880],
  ])('of a message that lives %i ms more asks for %i minutes', async (lifeMs, minutes) => {
    await channel.send(toPhone({ expiresAt: new Date(Date.now() + lifeMs) }), never);
    expect(infobip.messages.at(-1)?.validityMinutes).toBe(minutes);
  });

  test('sent again is recognised, and the phone rings once', async () => {
    const message = toPhone();
    const before = infobip.messages.length;
    await channel.send(message, never);
    expect(await channel.send({ ...message, attempt: 2 }, never)).toEqual({
      kind: 'accepted',
      providerCode: 'REJECTED_DUPLICATE_MESSAGE_ID',
    });
    expect(infobip.messages.length).toBe(before + 1);
  });

  test('goes below a base URL that has a path', async () => {
    const proxied = createInfobipSmsChannel({
      baseUrl: `${infobip.baseUrl}/proxy`,
      apiKey: infobip.apiKey,
      from: 'Carillon',
    });
    // The fake knows no such path: 404.
    expect(await proxied.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: '404' });
  });

  test('with a wrong key stops the channel', async () => {
    const wrong = createInfobipSmsChannel({ baseUrl: infobip.baseUrl, apiKey: 'wrong', from: 'Carillon' });
    expect(await wrong.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: '401' });
  });
});

describe('the reply', () => {
  test('that redirects is not followed', async () => {
    const before = infobip.requestCount();
    infobip.replyNext({ status: 307, headers: { location: `${infobip.baseUrl}/sms/3/messages` } });
    expect(await channel.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: '307' });
    expect(infobip.requestCount()).toBe(before + 1);
  });

  test('that asks to wait is obeyed', async () => {
    infobip.replyNext({ status: 429, headers: { 'retry-after': '2' } });
    expect(await channel.send(toPhone(), never)).toEqual({
      kind: 'retry',
      providerCode: '429',
      isThrottled: true,
      retryAfterMs: 2_000,
    });
  });

  test.each([
    '',
    'garbage',
    '{}',
    '{"messages":[]}',
    '{"messages":[{"status":"PENDING"}]}',
    '<html>',
  ])('%j is tried again', async (body) => {
    infobip.replyNext({ status: 200, body });
    expect(await channel.send(toPhone(), never)).toEqual({ kind: 'retry', providerCode: 'REPLY_UNREADABLE' });
  });

  test('of a size that none of Infobip’s has is tried again', async () => {
    const accepted = '{"messages":[{"status":{"groupName":"PENDING","name":"PENDING_ACCEPTED"}}]}';
    infobip.replyNext({ status: 200, body: accepted + ' '.repeat(1_000_000) });
    expect(await channel.send(toPhone(), never)).toMatchObject({ kind: 'retry' });
  });

  test('says what became of the message', async () => {
    infobip.replyNextStatus('REJECTED', 'REJECTED_DESTINATION');
    expect(await channel.send(toPhone(), never)).toEqual({ kind: 'gone', providerCode: 'REJECTED_DESTINATION' });
  });
});

test.each([
  [301, 'channelDown'],
  [302, 'channelDown'],
  [307, 'channelDown'],
  [308, 'channelDown'],
  [400, 'rejected'],
  [401, 'channelDown'],
  [403, 'channelDown'],
  [404, 'channelDown'],
  [405, 'channelDown'],
  [408, 'retry'],
  [413, 'rejected'],
  [429, 'retry'],
  [500, 'retry'],
  [502, 'retry'],
  [503, 'retry'],
])('HTTP %i is %s', (status, kind) => {
  expect(classifyInfobipStatus(status)).toMatchObject({ kind, providerCode: String(status) });
});

test.each([
  ['PENDING', 'PENDING_WAITING_DELIVERY', 'accepted'],
  ['PENDING', 'PENDING_ENROUTE', 'accepted'],
  ['PENDING', 'PENDING_ACCEPTED', 'accepted'],
  ['DELIVERED', 'DELIVERED_TO_OPERATOR', 'accepted'],
  ['DELIVERED', 'DELIVERED_TO_HANDSET', 'accepted DELIVERED'],
  ['UNDELIVERABLE', 'UNDELIVERABLE_REJECTED_OPERATOR', 'rejected HARD_BOUNCE'],
  ['UNDELIVERABLE', 'UNDELIVERABLE_NOT_DELIVERED', 'rejected HARD_BOUNCE'],
  ['EXPIRED', 'EXPIRED_EXPIRED', 'rejected PROVIDER_REJECTED'],
  ['REJECTED', 'REJECTED_NETWORK', 'rejected PROVIDER_REJECTED'],
  ['REJECTED', 'REJECTED_PREFIX_MISSING', 'rejected HARD_BOUNCE'],
  ['REJECTED', 'REJECTED_DND', 'rejected OPTED_OUT'],
  ['REJECTED', 'REJECTED_SOURCE', 'channelDown'],
  ['REJECTED', 'REJECTED_NOT_ENOUGH_CREDITS', 'channelDown'],
  ['REJECTED', 'REJECTED_SENDER', 'channelDown'],
  ['REJECTED', 'REJECTED_PREPAID_PACKAGE_EXPIRED', 'channelDown'],
  ['REJECTED', 'REJECTED_DESTINATION_NOT_REGISTERED', 'rejected PROVIDER_REJECTED'],
  ['REJECTED', 'REJECTED_ROUTE_NOT_AVAILABLE', 'channelDown'],
  ['REJECTED', 'REJECTED_FLOODING_FILTER', 'retry'],
  ['REJECTED', 'REJECTED_SYSTEM_ERROR', 'retry'],
  ['REJECTED', 'UNDELIVERABLE_REJECTED_PLATFORM', 'retry'],
  ['REJECTED', 'REJECTED_DUPLICATE_MESSAGE_ID', 'accepted'],
  ['REJECTED', 'REJECTED_INVALID_UDH', 'rejected RENDER_FAILED'],
  ['REJECTED', 'REJECTED_MESSAGE_TOO_LONG', 'rejected RENDER_FAILED'],
  ['REJECTED', 'MISSING_TO', 'rejected RENDER_FAILED'],
  ['REJECTED', 'REJECTED_DESTINATION', 'gone'],
  ['REJECTED', 'REJECTED_DESTINATION_BLOCKLISTED', 'rejected PROVIDER_REJECTED'],
  ['REJECTED', 'SIGNALS_BLOCKED', 'rejected PROVIDER_REJECTED'],
  ['REJECTED', 'REJECTED_OF_TOMORROW', 'rejected PROVIDER_REJECTED'],
  ['A_GROUP_OF_TOMORROW', 'WHATEVER', 'retry'],
  ['__proto__', 'CONSTRUCTOR', 'retry'],
])('a message that is %s, %s is %s', (groupName, name, expected) => {
  const outcome = classifyInfobipReply(JSON.stringify({ messages: [{ status: { groupName, name } }] }));
  const detail =
    outcome.kind === 'rejected' ? outcome.reason : outcome.kind === 'accepted' ? outcome.receipt : undefined;
  expect([outcome.kind, detail].filter(Boolean).join(' ')).toBe(expected);
  expect(outcome.providerCode).toBe(name);
});

test('a status that could hold an address is not passed on', () => {
  const text = JSON.stringify({ messages: [{ status: { groupName: 'PENDING', name: '+385 91 6242493' } }] });
  expect(classifyInfobipReply(text)).toEqual({ kind: 'accepted', providerCode: 'STATUS_UNKNOWN' });
});
