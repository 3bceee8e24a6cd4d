import { describe, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { useApp } from '../support/app.ts';
import {
  basic,
  infobipReport,
  makeSent,
  postInfobip,
  postReceipt,
  receiptSecretOf,
  receiptSettings,
  storyOf,
} from '../support/receipts.ts';
import { reportDelivery } from '../support/send-operations.ts';

const g = useApp(receiptSettings);

const delivered = { groupName: 'DELIVERED', name: 'DELIVERED_TO_HANDSET' };
const undeliverable = { groupName: 'UNDELIVERABLE', name: 'UNDELIVERABLE_NOT_DELIVERED' };

describe('a report of Infobip', () => {
  test('in its documented form moves the delivery whose id it carries', async () => {
    const sent = await makeSent(g, 'SMS');
    expect(await postInfobip(g, [infobipReport(sent.id, delivered)])).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({
      status: 'DELIVERED',
      reason: null,
      providerCode: 'DELIVERED_TO_HANDSET',
      story: ['QUEUED', 'SENT', 'DELIVERED'],
    });
  });

  test.each([
    [undeliverable, { name: 'EC_ABSENT_SUBSCRIBER' }, 'BOUNCED', 'SOFT_BOUNCE', false],
    [undeliverable, { name: 'EC_UNKNOWN_SUBSCRIBER', permanent: true }, 'BOUNCED', 'HARD_BOUNCE', true],
    [undeliverable, { name: 'EC_ILLEGAL_SUBSCRIBER', permanent: true }, 'BOUNCED', 'HARD_BOUNCE', false],
    [undeliverable, { name: 'EC_CALL_BARRED', permanent: true }, 'BOUNCED', 'HARD_BOUNCE', false],
    [
      { groupName: 'EXPIRED', name: 'EXPIRED_EXPIRED' },
      { name: 'EC_ABSENT_SUBSCRIBER' },
      'BOUNCED',
      'SOFT_BOUNCE',
      false,
    ],
    [{ groupName: 'REJECTED', name: 'REJECTED_OPERATOR' }, { name: 'EC_X' }, 'FAILED', 'PROVIDER_REJECTED', false],
  ] as const)('of %j with %j ends it as %s, %s', async (status, error, state, reason, isRetired) => {
    const sent = await makeSent(g, 'SMS');
    expect(await postInfobip(g, [infobipReport(sent.id, status, error)])).toBe(204);
    const { recipient, ...story } = await storyOf(g, sent);
    expect(story).toMatchObject({ status: state, reason, providerCode: error.name });
    expect(recipient).toMatchObject({ isSubscribed: true, isReachable: !isRetired });
    expect(recipient?.retiredAt === null).toBe(!isRetired);
  });

  test.each([
    { groupName: 'PENDING', name: 'PENDING_ENROUTE' },
    { groupName: 'DELIVERED', name: 'DELIVERED_TO_OPERATOR' },
    { groupName: 'NEW_GROUP', name: 'NEW' },
  ])('that tells nothing final, such as %j, changes nothing', async (status) => {
    const sent = await makeSent(g, 'SMS');
    expect(await postInfobip(g, [infobipReport(sent.id, status)])).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ story: ['QUEUED', 'SENT'] });
  });

  test.each([
    '0000-01-01T00:00:00.000+0000',
    '+275760-09-13T00:00:00Z',
    '-000001-01-01T00:00:00Z',
    'soon',
  ])('of a time that cannot be, %s, is of now', async (doneAt) => {
    const sent = await makeSent(g, 'SMS');
    expect(await postInfobip(g, [{ ...infobipReport(sent.id, delivered), doneAt }])).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ story: ['QUEUED', 'SENT', 'DELIVERED'] });
  });

  test('that a WhatsApp message was seen opens it, and implies nothing else', async () => {
    const sent = await makeSent(g, 'SMS');
    const seen = {
      messageId: sent.id,
      from: 'a',
      to: '41793026727',
      sentAt: '2019-11-09T16:00:00.000+0000',
      seenAt: '2019-11-09T16:00:00.000+0000',
    };
    expect(await postInfobip(g, [seen], 'whatsapp')).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ story: ['QUEUED', 'SENT', 'OPENED'] });
  });

  test('of a batch, with repeats and strangers in it, is recorded whole: each delivery once', async () => {
    const sent = await Promise.all(Array.from({ length: 5 }, () => makeSent(g, 'SMS')));
    const strangers = [crypto.randomUUID(), 'not-an-id', ''].map((id) => infobipReport(id, delivered));
    const reports = [...sent, ...sent].map(({ id }) => infobipReport(id, delivered));
    expect(await postInfobip(g, [...reports, ...strangers])).toBe(204);
    for (const message of sent)
      expect(await storyOf(g, message)).toMatchObject({ story: ['QUEUED', 'SENT', 'DELIVERED'] });
  });

  test('of the largest batch that Infobip posts is recorded whole', async () => {
    const sent = await makeSent(g, 'SMS');
    const others = Array.from({ length: 1_999 }, () => {
      const description = 'The message has been delivered to the handset, as its operator says. '.repeat(4);
      return infobipReport(crypto.randomUUID(), { ...delivered, description });
    });
    expect(await postInfobip(g, [...others, infobipReport(sent.id, delivered)])).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'DELIVERED' });
  });

  test('that comes again, late, or after another end never moves a delivery backwards', async () => {
    const sent = await makeSent(g, 'SMS');
    await reportDelivery(g.server, { delivery: sent.delivery, status: 'CLICKED' });
    for (const status of [delivered, undeliverable, delivered]) await postInfobip(g, [infobipReport(sent.id, status)]);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'CLICKED', story: ['QUEUED', 'SENT', 'CLICKED'] });
  });

  test("that overtakes the worker's record proves that it was sent, and the record comes too late", async () => {
    const sent = await makeSent(g, 'SMS');
    // As it is while the provider's answer is under way.
    await g.pool.query(sql`
      update deliveries set status = 'SENDING', claim_token = gen_random_uuid(), claim_expires_at = now() + interval '1 minute'
      where id = ${sent.id}::uuid`);
    expect(await postInfobip(g, [infobipReport(sent.id, delivered)])).toBe(204);
    const { rows } = await g.pool.query(sql`select status, claim_token from deliveries where id = ${sent.id}::uuid`);
    expect(rows).toEqual([{ status: 'DELIVERED', claim_token: null }]);
  });

  test('cannot tell of what was sent by another channel', async () => {
    const sent = await makeSent(g, 'EMAIL');
    expect(await postInfobip(g, [infobipReport(sent.id, delivered)])).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'SENT' });
  });
});

describe('who is not the provider', () => {
  const body = JSON.stringify({ results: [] });
  const json = { 'content-type': 'application/json' };

  test('is refused, also with the secret of another channel, and nothing is recorded', async () => {
    const sent = await makeSent(g, 'SMS');
    const report = JSON.stringify({ results: [infobipReport(sent.id, delivered)] });
    const wrong = [
      undefined,
      basic(''),
      basic('whsec_AAAA'),
      basic(await receiptSecretOf(g, 'email')),
      'Bearer server-key-of-the-tests',
      'Digest a',
    ];
    for (const authorization of wrong) {
      const headers = authorization === undefined ? json : { ...json, authorization };
      expect(await postReceipt(g, 'sms', { body: report, headers })).toBe(401);
    }
    expect(await storyOf(g, sent)).toMatchObject({ status: 'SENT' });
  });

  test('is told nothing but its status', async () => {
    const response = await fetch(`${g.url}/receipts/sms`, { method: 'POST', body, headers: json });
    expect([response.status, response.headers.get('www-authenticate'), await response.text()]).toEqual([
      401,
      'Basic realm="receipts"',
      '',
    ]);
  });

  test('learns of no channels but ours', async () => {
    for (const channel of ['', 'push', 'sms/', '__proto__']) {
      expect(await postReceipt(g, channel, { body, headers: json })).toBe(404);
    }
    expect((await fetch(`${g.url}/receipts/sms`)).status).toBe(405);
  });
});

describe('what is in no documented form', () => {
  test.each(['', '{', '[]', '{}', '{"results":[{"messageId":1}]}', '\u0000'])('is answered 400 (%j)', async (body) => {
    const authorization = `Bearer ${await receiptSecretOf(g, 'sms')}`;
    const headers = { 'content-type': 'application/json', authorization };
    expect(await postReceipt(g, 'sms', { body, headers })).toBe(400);
  });

  test('or is longer than 4 MiB, is refused', async () => {
    const authorization = `Bearer ${await receiptSecretOf(g, 'sms')}`;
    const headers = { 'content-type': 'application/json', authorization };
    expect(await postReceipt(g, 'sms', { body: ' '.repeat(4_194_305), headers })).toBe(413);
  });
});
