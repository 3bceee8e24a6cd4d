import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isSignedByTwilio } from '../../src/receipts/credentials.ts';
import { sql } from '../../src/storage/database.ts';
import { useApp } from '../support/app.ts';
import { makeSent, postReceipt, receiptSettings, storyOf } from '../support/receipts.ts';
import { until } from '../support/until.ts';

const g = useApp(receiptSettings, { sweepMs: 100 });

const newSid = () => `SM${crypto.randomUUID().replaceAll('-', '')}`;

/** As Twilio calls a status callback. */
function post(
  fields: Record<string, string>,
  { query = '', authToken = receiptSettings.twilioAuthToken as string } = {},
) {
  const form = new URLSearchParams(fields);
  const signed = Object.entries(fields)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}${value}`);
  const text = `${receiptSettings.publicUrl}/receipts/sms${query}${signed.join('')}`;
  const signature = createHmac('sha1', authToken).update(text).digest('base64');
  return postReceipt(g, 'sms', {
    body: form.toString(),
    query,
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature },
  });
}

const callback = (sid: string, status: string, errorCode?: string) => ({
  AccountSid: `AC${'0'.repeat(32)}`,
  ApiVersion: '2010-04-01',
  From: '+15017250604',
  MessageSid: sid,
  MessageStatus: status,
  SmsSid: sid,
  SmsStatus: status,
  To: '+15558675310',
  ...(errorCode !== undefined && { ErrorCode: errorCode }),
});

/** A sent message that Twilio calls so. */
async function makeSentAs(sid: string) {
  const sent = await makeSent(g, 'SMS');
  await g.pool.query(sql`update deliveries set provider_message_id = ${sid} where id = ${sent.id}::uuid`);
  return sent;
}

test("Twilio's own example is signed (https://www.twilio.com/docs/usage/security)", () => {
  const form = new URLSearchParams({
    CallSid: 'CA1234567890ABCDE',
    Caller: '+14158675309',
    Digits: '1234',
    From: '+14158675309',
    To: '+18005551212',
  });
  const call = { authToken: '12345', url: 'https://mycompany.com/myapp.php?foo=1&bar=2', form };
  expect(isSignedByTwilio('RSOYDt4T1cUTdK1PDd93/VVr8B8=', call)).toBe(true);
  expect(isSignedByTwilio('RSOYDt4T1cUTdK1PDd93/VVr8B8=', { ...call, authToken: '12346' })).toBe(false);
  expect(isSignedByTwilio('RSOYDt4T1cUTdK1PDd93/VVr8B8=', { ...call, url: `${call.url}0` })).toBe(false);
});

describe('a status callback of Twilio', () => {
  test("finds the delivery by Twilio's own id", async () => {
    const sid = newSid();
    const sent = await makeSentAs(sid);
    for (const status of ['queued', 'sent', 'delivered']) expect(await post(callback(sid, status))).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'DELIVERED', story: ['QUEUED', 'SENT', 'DELIVERED'] });
  });

  test.each([
    ['read', undefined, 'OPENED', null, 'read', false],
    ['undelivered', '30003', 'BOUNCED', 'SOFT_BOUNCE', '30003', false],
    ['undelivered', '30005', 'BOUNCED', 'HARD_BOUNCE', '30005', true],
    ['undelivered', '21635', 'BOUNCED', 'HARD_BOUNCE', '21635', false],
    ['undelivered', '63003', 'BOUNCED', 'HARD_BOUNCE', '63003', false],
    ['undelivered', '30007', 'FAILED', 'PROVIDER_REJECTED', '30007', false],
    ['failed', undefined, 'FAILED', 'PROVIDER_REJECTED', 'failed', false],
  ] as const)('of %s with the error %s makes it %s, %s', async (status, error, state, reason, providerCode, isRetired) => {
    const sid = newSid();
    const sent = await makeSentAs(sid);
    expect(await post(callback(sid, status, error))).toBe(204);
    const { recipient, ...story } = await storyOf(g, sent);
    expect(story).toMatchObject({ status: state, reason, providerCode });
    expect(recipient?.isReachable).toBe(!isRetired);
  });

  test('finds it by the id in its own address, before Twilio’s is kept', async () => {
    const sent = await makeSent(g, 'SMS');
    expect(await post(callback(newSid(), 'delivered'), { query: `?delivery=${sent.id}` })).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'DELIVERED' });
  });

  test('that overtakes the record of Twilio’s id waits for it', async () => {
    const [sid, sent] = [newSid(), await makeSent(g, 'SMS')];
    expect(await post(callback(sid, 'undelivered', '30005'))).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'SENT' });
    await g.pool.query(sql`update deliveries set provider_message_id = ${sid} where id = ${sent.id}::uuid`);
    await until(async () => (await storyOf(g, sent)).status === 'BOUNCED');
    expect(await g.db.earlyReceipt.count({ where: { providerMessageId: sid } })).toBe(0);
  });

  test('of a message that is nobody’s is forgotten after an hour', async () => {
    const sid = newSid();
    expect(await post(callback(sid, 'delivered'))).toBe(204);
    await g.pool.query(sql`
      update early_receipts set created_at = now() - interval '61 minutes' where provider_message_id = ${sid}`);
    await until(async () => (await g.db.earlyReceipt.count({ where: { providerMessageId: sid } })) === 0);
  });

  test('that is not signed, or signed for another address, is refused', async () => {
    const sid = newSid();
    const sent = await makeSentAs(sid);
    expect(await post(callback(sid, 'delivered'), { authToken: 'another' })).toBe(401);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    expect(
      await postReceipt(g, 'sms', { body: new URLSearchParams(callback(sid, 'delivered')).toString(), headers }),
    ).toBe(401);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'SENT' });
  });

  test('without an id of Twilio’s is answered 400', async () => {
    expect(await post({ MessageStatus: 'delivered' })).toBe(400);
  });
});

describe('a message from a person, by Twilio', () => {
  const inbound = (phone: string, body: string, optOutType?: string) => ({
    From: phone,
    To: '+15017250604',
    Body: body,
    MessageSid: newSid(),
    SmsStatus: 'received',
    ...(optOutType !== undefined && { OptOutType: optOutType }),
  });
  const consentOf = async (sent: Awaited<ReturnType<typeof makeSent>>) =>
    (await storyOf(g, sent)).recipient?.isSubscribed;

  test('opts out and in again by the word that Twilio has understood, in whatever language it is', async () => {
    const sent = await makeSent(g, 'SMS');
    expect(await post(inbound(sent.phone, 'PARAR', 'STOP'))).toBe(204);
    expect(await consentOf(sent)).toBe(false);
    expect(await post(inbound(sent.phone, 'VOLVER', 'START'))).toBe(204);
    expect(await consentOf(sent)).toBe(true);
  });

  test('that Twilio has understood as a call for help changes nothing, though it is a word that opts out elsewhere', async () => {
    const sent = await makeSent(g, 'SMS');
    expect(await post(inbound(sent.phone, 'END', 'HELP'))).toBe(204);
    expect(await consentOf(sent)).toBe(true);
  });

  test('of which Twilio says nothing, or nothing that is known, is understood by its word', async () => {
    const [sent, other] = [await makeSent(g, 'SMS'), await makeSent(g, 'SMS')];
    expect(await post(inbound(sent.phone, 'STOP'))).toBe(204);
    expect(await post(inbound(other.phone, 'STOP', 'ANOTHER'))).toBe(204);
    expect([await consentOf(sent), await consentOf(other)]).toEqual([false, false]);
  });
});
