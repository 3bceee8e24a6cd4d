import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Channel, Message, MessageContent } from '../../src/channels/channel.ts';
import { createInfobipWhatsAppChannel } from '../../src/channels/infobip-whatsapp.ts';
import { type FakeInfobip, startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { makeMessage } from '../support/make-message.ts';

const never = new AbortController().signal;

let infobip: FakeInfobip;
let channel: Channel;
beforeAll(async () => {
  infobip = await startFakeInfobip();
  const { baseUrl, apiKey } = infobip;
  channel = createInfobipWhatsAppChannel({ baseUrl, apiKey, from: '+385912345678' });
});
afterAll(() => infobip.close());

function toPhone(content: Partial<MessageContent> = {}): Message {
  return makeMessage({ channel: 'WHATSAPP', address: { kind: 'phone', phone: '+385916242493' }, content });
}

test('a text is in Infobip’s documented form', async () => {
  const message = toPhone({ title: 'Parcel', body: 'is here', url: 'https://e.com/p' });
  expect(await channel.send(message, never)).toEqual({ kind: 'accepted', providerCode: 'PENDING_ENROUTE' });
  expect(infobip.whatsApps.at(-1)).toEqual({
    from: '385912345678',
    to: '385916242493',
    messageId: message.deliveryId,
    content: { text: 'Parcel\nis here\nhttps://e.com/p' },
  });
});

test('a template is in Infobip’s documented form', async () => {
  const whatsApp = { template: 'parcel_is_here', language: 'en_GB', parameters: ['Ada', '17:00'] };
  const message = toPhone({ data: { whatsApp } });
  expect(await channel.send(message, never)).toEqual({ kind: 'accepted', providerCode: 'PENDING_ENROUTE' });
  expect(infobip.whatsApps.at(-1)).toMatchObject({
    messageId: message.deliveryId,
    content: {
      templateName: 'parcel_is_here',
      templateData: { body: { placeholders: ['Ada', '17:00'] } },
      language: 'en_GB',
    },
  });
});

test('a template that cannot be read is not sent', async () => {
  const before = infobip.requestCount();
  expect(await channel.send(toPhone({ data: { whatsApp: 'parcel_is_here' } }), never)).toEqual({
    kind: 'rejected',
    reason: 'RENDER_FAILED',
    providerCode: 'TEMPLATE_UNREADABLE',
  });
  expect(infobip.requestCount()).toBe(before);
});

test('a text that is longer than WhatsApp takes is not sent, one that is as long is', async () => {
  const before = infobip.requestCount();
  expect(await channel.send(toPhone({ body: 'x'.repeat(4_097) }), never)).toEqual({
    kind: 'rejected',
    reason: 'RENDER_FAILED',
    providerCode: 'TEXT_TOO_LONG',
  });
  expect(infobip.requestCount()).toBe(before);
  expect(await channel.send(toPhone({ body: 'x'.repeat(4_096) }), never)).toMatchObject({ kind: 'accepted' });
});

test('a wrong key stops the channel', async () => {
  const { baseUrl } = infobip;
  const wrong = createInfobipWhatsAppChannel({ baseUrl, apiKey: 'wrong', from: '+385912345678' });
  expect(await wrong.send(toPhone(), never)).toEqual({ kind: 'channelDown', providerCode: '401' });
});

test('what the reply says of the message is what becomes of it', async () => {
  infobip.replyNextStatus('REJECTED', 'REJECTED_NOT_ENOUGH_CREDITS');
  expect(await channel.send(toPhone(), never)).toEqual({
    kind: 'channelDown',
    providerCode: 'REJECTED_NOT_ENOUGH_CREDITS',
  });
});
