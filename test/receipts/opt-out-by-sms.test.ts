import { describe, expect, test } from 'vitest';
import { decideConsent } from '../../src/receipts/opt-out-by-sms.ts';
import { sql } from '../../src/storage/database.ts';
import { newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { makeSent, postInfobip, receiptSettings, storyOf } from '../support/receipts.ts';
import { addRecipient, getRecipient, removeRecipient } from '../support/recipients.ts';
import { localIdOf, makePerson } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useApp(receiptSettings);

/** As Infobip hands a message on (MO_JSON_2). */
const inbound = (phone: string, text: string) => ({
  messageId: '817790313235066447',
  from: phone.replace('+', ''),
  to: '385921004026',
  text,
  cleanText: text,
  keyword: '',
  receivedAt: '2016-10-06T09:28:39.220+0000',
  smsCount: 1,
});

describe('a word', () => {
  test.each([
    'STOP',
    'stop',
    ' Stop. ',
    '"STOP"',
    'STOPALL',
    'stop all',
    'Unsubscribe',
    'cancel',
    'END',
    'quit',
    'REVOKE',
    'opt-out',
    'OPTOUT',
    'ARRET',
    'arrêt',
  ])('%j opts out', (text) => {
    expect(decideConsent(text)).toBe(false);
  });

  test.each(['START', 'start', 'UNSTOP', 'Subscribe', 'opt in'])('%j opts in', (text) => {
    expect(decideConsent(text)).toBe(true);
  });

  test.each([
    '',
    'yes',
    'stop please',
    'please stop',
    'nonstop',
    'STOP\nthat',
    '🛑',
  ])('%j says nothing of it', (text) => {
    expect(decideConsent(text)).toBe(null);
  });
});

describe('a person who writes', () => {
  test('STOP by SMS gets no more of them, as said by the person; START ends that', async () => {
    const sent = await makeSent(g, 'SMS');
    expect(await postInfobip(g, [inbound(sent.phone, 'Stop')])).toBe(204);
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: false, consentBy: 'person:sms' });
    expect(await postInfobip(g, [inbound(sent.phone, 'Start')])).toBe(204);
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true, consentBy: 'person:sms' });
  });

  test('STOP by WhatsApp opts the same phone out', async () => {
    const sent = await makeSent(g, 'SMS');
    const { from, to, messageId, receivedAt } = inbound(sent.phone, '');
    const message = { type: 'TEXT', text: 'STOP' };
    expect(
      await postInfobip(g, [{ from, to, messageId, receivedAt, integrationType: 'WHATSAPP', message }], 'whatsapp'),
    ).toBe(204);
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: false });
  });

  test('anything else is left alone, and so is who is no phone', async () => {
    const sent = await makeSent(g, 'SMS');
    expect(await postInfobip(g, [inbound(sent.phone, 'Thanks!'), inbound('InfoSMS', 'STOP')])).toBe(204);
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true, consentBy: null });
  });

  test('STOP from a phone that nobody has yet finds it opted out when somebody adds it', async () => {
    const [phone, person] = [newPhone(), await makePerson(g.server)];
    expect(await postInfobip(g, [inbound(phone, 'STOP')])).toBe(204);
    await addRecipient(g.server, { user: { id: person.id }, phone });
    expect(await getRecipient(g.server, { id: person.id, channel: 'SMS' })).toMatchObject({ isSubscribed: false });
  });

  test('STOP from a phone that is taken from its user at that moment is kept for whoever brings it', async () => {
    const [phone, person, next] = [newPhone(), await makePerson(g.server), await makePerson(g.server)];
    await addRecipient(g.server, { user: { id: person.id }, phone });
    const recipient = await getRecipient(g.server, { id: person.id, channel: 'SMS' });
    const areWaiting = (count: number) =>
      until(async () => {
        const { rowCount } = await g.pool.query(sql`
          select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%from users%for no key update%'`);
        return rowCount === count;
      });
    const other = await g.pool.connect();
    await other.query('begin');
    await other.query(sql`select from users where id = ${localIdOf(person.id)}::uuid for no key update`);
    const removed = removeRecipient(g.server, recipient.id);
    await areWaiting(1);
    const answered = postInfobip(g, [inbound(phone, 'STOP')]);
    await areWaiting(2);
    await other.query('commit');
    other.release();
    expect(await removed).toMatchObject({ __typename: 'RemoveRecipientPayload' });
    expect(await answered).toBe(204);
    await addRecipient(g.server, { user: { id: next.id }, phone });
    expect(await getRecipient(g.server, { id: next.id, channel: 'SMS' })).toMatchObject({ isSubscribed: false });
  });
});
