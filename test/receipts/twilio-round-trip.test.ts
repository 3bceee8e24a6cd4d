import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { type FakeTwilio, startFakeTwilio } from '../support/fakes/fake-twilio.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { postReceipt, receiptSettings, storyOf } from '../support/receipts.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';

const twilio: FakeTwilio = await startFakeTwilio();
const { accountSid, authToken, baseUrl } = twilio;
const account = { accountSid, authToken, baseUrl, from: '+15017122661' };
const g = useApp({
  ...{ ...receiptSettings, twilio: account, whatsApp: { provider: 'twilio', ...account } },
  twilioAuthToken: authToken,
});

test.each([
  'SMS',
  'WHATSAPP',
] as const)('%s by Twilio says where its receipts go, its own id is kept, and either finds the delivery', async (channel) => {
  const person = await makePerson(g.server, { phones: [newPhone()] });
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { channels: [channel] }),
  );
  const [delivery] = (await settledDeliveries(g.server, notification)).deliveries.nodes;
  const path = `/receipts/${channel.toLowerCase()}`;
  const query = `?delivery=${localIdOf(delivery?.id ?? '')}`;
  expect(twilio.messages.at(-1)?.StatusCallback).toBe(`${receiptSettings.publicUrl}${path}${query}`);
  const { providerMessageId } = await g.db.delivery.findUniqueOrThrow({ where: { id: localIdOf(delivery?.id ?? '') } });
  expect(providerMessageId).toMatch(/^SM[0-9a-f]{32}$/);

  const post = (status: string, search: string) => {
    const fields = { MessageSid: providerMessageId ?? '', MessageStatus: status };
    const signed = `${receiptSettings.publicUrl}${path}${search}${Object.entries(fields).flat().join('')}`;
    const signature = createHmac('sha1', authToken).update(signed).digest('base64');
    return postReceipt(g, channel.toLowerCase(), {
      body: new URLSearchParams(fields).toString(),
      query: search,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature },
    });
  };
  expect(await post('delivered', '')).toBe(204);
  expect(await post('read', query)).toBe(204);
  expect((await storyOf(g, { delivery: delivery?.id ?? '' })).story).toEqual(['QUEUED', 'SENT', 'DELIVERED', 'OPENED']);
});
