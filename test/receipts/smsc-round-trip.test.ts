import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPhone } from '../support/addresses.ts';
import { type FakeSmsc, startFakeSmsc } from '../support/fakes/fake-smsc.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { storyOf } from '../support/receipts.ts';
import { addRecipient, getRecipient } from '../support/recipients.ts';
import { makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useGatewayAndWorker();
let smsc: FakeSmsc;
beforeAll(async () => {
  smsc = await startFakeSmsc();
});
afterAll(() => smsc.close());

const startWorker = () => g.startWorker({ smpp: { url: smsc.url, from: 'Carillon' } }, { listenMs: 100 });

/** An SMS that was sent, and what the SMSC calls it. */
async function sendSms() {
  const phone = newPhone();
  const person = await makePerson(g.server, { phones: [phone] });
  const notification = await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['SMS'] }));
  const [delivery] = (await settledDeliveries(g.server, notification)).deliveries.nodes;
  return { person, phone, delivery: delivery?.id ?? '', messageId: smsc.parts.at(-1)?.messageId ?? '' };
}

const isBound = () => until(async () => smsc.sessionCount() > 0);

const tellReceipt = (messageId: string, state: string) =>
  smsc.tell('deliver_sm', { esm_class: 0x04, short_message: `id:${messageId} stat:${state} err:000 text:` });

describe('a receipt of an SMSC', () => {
  test.each([
    ['DELIVRD', 'DELIVERED', null],
    ['EXPIRED', 'BOUNCED', 'SOFT_BOUNCE'],
    ['UNDELIV', 'BOUNCED', 'HARD_BOUNCE'],
  ] as const)('(%s) comes over its session and makes the delivery %s, %s', async (state, status, reason) => {
    await startWorker();
    const sent = await sendSms();
    expect(await tellReceipt(sent.messageId, state)).toMatchObject({ command_status: 0 });
    // It is recorded by the time that it is answered.
    expect(await storyOf(g, sent)).toMatchObject({ status, reason, story: ['QUEUED', 'SENT', status] });
  });

  test('finds its delivery over the session of another process, without anything being sent', async () => {
    const worker = await startWorker();
    const sent = await sendSms();
    await worker.stop();
    await startWorker();
    await isBound();
    await tellReceipt(sent.messageId, 'DELIVRD');
    expect(await storyOf(g, sent)).toMatchObject({ status: 'DELIVERED' });
  });

  test('that comes before the record of the send counts when that is there', async () => {
    await startWorker();
    await isBound();
    await tellReceipt('early-1', 'UNDELIV');
    smsc.nameNext('early-1');
    const sent = await sendSms();
    await until(async () => (await storyOf(g, sent)).status === 'BOUNCED');
    expect(await storyOf(g, sent)).toMatchObject({ story: ['QUEUED', 'SENT', 'BOUNCED'] });
    expect(await g.db.earlyReceipt.count()).toBe(0);
  });

  test('of an id that the SMSC has given twice is the later message’s', async () => {
    await startWorker();
    smsc.nameNext('twice');
    const first = await sendSms();
    smsc.nameNext('twice');
    const second = await sendSms();
    await tellReceipt('twice', 'DELIVRD');
    expect([await storyOf(g, first), await storyOf(g, second)].map(({ status }) => status)).toEqual([
      'SENT',
      'DELIVERED',
    ]);
  });
});

describe('a person who writes to an SMSC', () => {
  const write = (phone: string, text: string) =>
    smsc.tell('deliver_sm', { source_addr_ton: 1, source_addr: phone.replace('+', ''), short_message: text });

  test('STOP gets no more SMS, as said by the person; START ends that', async () => {
    await startWorker();
    const sent = await sendSms();
    expect(await write(sent.phone, 'Stop')).toMatchObject({ command_status: 0 });
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: false, consentBy: 'person:sms' });
    await write(sent.phone, 'start');
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true, consentBy: 'person:sms' });
  });

  test('anything else is left alone', async () => {
    await startWorker();
    const sent = await sendSms();
    await write(sent.phone, 'please stop by on Sunday');
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true, consentBy: null });
  });

  test('STOP is heard before anything is sent, and found by whoever adds the phone', async () => {
    await startWorker();
    await isBound();
    const [phone, person] = [newPhone(), await makePerson(g.server)];
    await write(phone, 'STOP');
    await addRecipient(g.server, { user: { id: person.id }, phone });
    expect(await getRecipient(g.server, { id: person.id, channel: 'SMS' })).toMatchObject({ isSubscribed: false });
  });
});
