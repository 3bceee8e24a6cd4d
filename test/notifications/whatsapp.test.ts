import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { newPhone } from '../support/addresses.ts';
import { type FakeInfobip, startFakeInfobip } from '../support/fakes/fake-infobip.ts';
import { type FakeTwilio, startFakeTwilio } from '../support/fakes/fake-twilio.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { getRecipient, updateRecipient } from '../support/recipients.ts';
import { localIdOf, makePerson, mergeUsers, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();
let infobip: FakeInfobip;
let twilio: FakeTwilio;

beforeEach(async () => {
  [infobip, twilio] = await Promise.all([startFakeInfobip(), startFakeTwilio()]);
});
afterEach(() => Promise.all([infobip.close(), twilio.close()]));

const settings = () => ({
  infobip: { baseUrl: infobip.baseUrl, apiKey: infobip.apiKey, from: 'Carillon' },
  whatsApp: {
    provider: 'twilio' as const,
    baseUrl: twilio.baseUrl,
    accountSid: twilio.accountSid,
    authToken: twilio.authToken,
    from: '+385912345678',
  },
});

describe('a WhatsApp (rule M1)', () => {
  test('goes to the phone of an SMS, beside it when both are asked for, each once', async () => {
    const phone = newPhone();
    const person = await makePerson(g.server, { phones: [phone] });
    const { id: recipient } = await getRecipient(g.server, { id: person.id, channel: 'SMS' });
    const target = { users: [{ id: person.id }, { phone }] };
    const notification = await makeNotification(g.server, toSend(target, { channels: ['SMS', 'WHATSAPP'] }));
    await g.startWorker(settings());
    const { deliveries, progress } = await settledDeliveries(g.server, notification);
    expect(progress).toMatchObject({ total: 2, sent: 2 });
    expect(deliveries.nodes.map(({ channel }) => channel).sort()).toEqual(['SMS', 'WHATSAPP']);
    const { rows } = await g.pool.query('select distinct recipient_id from deliveries');
    expect(rows).toHaveLength(1);
    expect(Buffer.from(recipient, 'base64').toString()).toContain(rows[0].recipient_id);
    expect(infobip.messages.map(({ to }) => to)).toEqual([phone.slice(1)]);
    expect(twilio.messages).toMatchObject([{ To: `whatsapp:${phone}`, Body: 'Hello' }]);
  });

  test('is not sent where no channel is named, though there is a provider', async () => {
    const person = await makePerson(g.server, { phones: [newPhone()] });
    const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }));
    await g.startWorker(settings());
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes.map(({ channel }) => channel).sort()).toEqual(['IN_APP', 'PUSH', 'SMS']);
    expect(twilio.messages).toEqual([]);
  });

  test('is not sent by PREFERRED to who prefers it, where no channel is named', async () => {
    const person = await makePerson(g.server, { phones: [newPhone()] });
    await g.pool.query(sql`
      update users set preferred_channel = 'WHATSAPP' where id = ${localIdOf(person.id)}::uuid`);
    const target = { users: [{ id: person.id }] };
    const unnamed = await makeNotification(g.server, toSend(target, { orchestration: 'PREFERRED' }));
    const named = await makeNotification(
      g.server,
      toSend(target, { orchestration: 'PREFERRED', channels: ['SMS', 'WHATSAPP'] }),
    );
    await g.startWorker(settings());
    expect((await settledDeliveries(g.server, unnamed)).deliveries.nodes).toMatchObject([{ channel: 'PUSH' }]);
    expect((await settledDeliveries(g.server, named)).deliveries.nodes).toMatchObject([{ channel: 'WHATSAPP' }]);
    expect(twilio.messages).toHaveLength(1);
  });

  test('follows no channel of a FALLBACK that names none', async () => {
    // The outbox refuses such a token, and such a phone.
    const phones = [`${newPhone().slice(0, -4)}0003`];
    const person = await makePerson(g.server, { phones, tokenPrefix: 'rejected-' });
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { orchestration: 'FALLBACK' }),
    );
    await g.startWorker({ whatsApp: settings().whatsApp });
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes.map(({ channel, status }) => [channel, status])).toEqual([
      ['PUSH', 'FAILED'],
      ['SMS', 'FAILED'],
      ['IN_APP', 'SENT'],
    ]);
    expect(twilio.messages).toEqual([]);
  });

  test('to who has no phone says so', async () => {
    const person = await makePerson(g.server);
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['SMS', 'WHATSAPP'] }),
    );
    await g.startWorker(settings());
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes.map(({ channel, status, reason }) => [channel, status, reason]).sort()).toEqual([
      ['SMS', 'DISCARDED', 'NO_ADDRESS'],
      ['WHATSAPP', 'DISCARDED', 'NO_ADDRESS'],
    ]);
  });

  test('to a phone whose person has opted out is not sent', async () => {
    const person = await makePerson(g.server, { phones: [newPhone()] });
    const { id } = await getRecipient(g.server, { id: person.id, channel: 'SMS' });
    await updateRecipient(g.server, { recipient: id, isSubscribed: false });
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['WHATSAPP'] }),
    );
    await g.startWorker(settings());
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes).toMatchObject([{ channel: 'WHATSAPP', status: 'DISCARDED', reason: 'OPTED_OUT' }]);
  });

  test('to two users of a merge is sent to their phone once', async () => {
    const phone = newPhone();
    const [survivor, merged] = [await makePerson(g.server), await makePerson(g.server, { phones: [phone] })];
    await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
    const target = { users: [{ id: survivor.id }, { id: merged.id }] };
    const notification = await makeNotification(g.server, toSend(target, { channels: ['WHATSAPP'] }));
    await g.startWorker(settings());
    expect(await settledDeliveries(g.server, notification)).toMatchObject({ progress: { total: 1, sent: 1 } });
  });

  test('by a template is sent as one, and free text outside of a session fails with the provider’s code', async () => {
    const person = await makePerson(g.server, { phones: [newPhone()] });
    twilio.refuseNext(400, 63_016);
    const send = toSend({ users: [{ id: person.id }] }, { channels: ['WHATSAPP'] });
    const text = await makeNotification(g.server, send);
    await g.startWorker(settings());
    expect((await settledDeliveries(g.server, text)).deliveries.nodes).toMatchObject([
      { status: 'FAILED', reason: 'PROVIDER_REJECTED', providerCode: '63016' },
    ]);
    const template = `HX${'a'.repeat(32)}`;
    const content = { body: 'Hello', data: { whatsApp: { template, parameters: ['Ada'] } } };
    await settledDeliveries(g.server, await makeNotification(g.server, { ...send, content }));
    expect(twilio.messages).toMatchObject([{ ContentSid: template, ContentVariables: '{"1":"Ada"}' }]);
  });

  test('a person who has told the provider STOP is told as opted out', async () => {
    const person = await makePerson(g.server, { phones: [newPhone()] });
    twilio.refuseNext(400, 21_610);
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: person.id }] }, { channels: ['WHATSAPP'] }),
    );
    await g.startWorker(settings());
    expect((await settledDeliveries(g.server, notification)).deliveries.nodes).toMatchObject([
      { status: 'DISCARDED', reason: 'OPTED_OUT', providerCode: '21610' },
    ]);
  });
});
