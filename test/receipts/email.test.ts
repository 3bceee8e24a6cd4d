import { describe, expect, test } from 'vitest';
import { createCipher } from '../../src/storage/cipher.ts';
import { useApp } from '../support/app.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import {
  basic,
  makeSent,
  postEmailReceipts,
  postReceipt,
  receiptSecretOf,
  receiptSettings,
  signedHeaders,
  storyOf,
} from '../support/receipts.ts';
import { addRecipient, updateRecipient } from '../support/recipients.ts';
import { toSend } from '../support/send-operations.ts';

const g = useApp(receiptSettings);

describe('a receipt for e-mail in JSON', () => {
  test('names its delivery by our id or by the Message-ID', async () => {
    const [a, b] = [await makeSent(g, 'EMAIL'), await makeSent(g, 'EMAIL')];
    const at = '2026-11-22T15:04:05Z';
    expect(
      await postEmailReceipts(g, [
        { delivery: a.id, status: 'DELIVERED', at },
        { messageId: `<${b.id}@example.com>`, status: 'OPENED' },
        { messageId: '<somebody-else@example.com>', status: 'OPENED' },
        { delivery: crypto.randomUUID(), status: 'CLICKED' },
      ]),
    ).toBe(204);
    expect(await storyOf(g, a)).toMatchObject({ status: 'DELIVERED' });
    expect(await storyOf(g, b)).toMatchObject({ status: 'OPENED' });
  });

  test('of a time that cannot be is of now', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const receipt = { delivery: sent.id, status: 'DELIVERED', at: '0000-01-01T00:00:00Z' };
    expect(await postEmailReceipts(g, [receipt])).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'DELIVERED' });
  });

  test.each([
    ['5.1.1', 'HARD_BOUNCE', true],
    ['5.1.2', 'HARD_BOUNCE', true],
    ['5.1.3', 'HARD_BOUNCE', true],
    ['5.1.6', 'HARD_BOUNCE', true],
    ['5.1.10', 'HARD_BOUNCE', true],
    ['5.2.1', 'HARD_BOUNCE', true],
    // Any reply without such a code: a policy's, too.
    ['5.0.0', 'HARD_BOUNCE', false],
    ['5.1.0', 'HARD_BOUNCE', false],
    ['5.1.8', 'HARD_BOUNCE', false],
    ['5.2.0', 'HARD_BOUNCE', false],
    ['5.2.2', 'HARD_BOUNCE', false],
    ['5.7.1', 'HARD_BOUNCE', false],
    ['5.9.9', 'HARD_BOUNCE', false],
    ['4.2.2', 'SOFT_BOUNCE', false],
    [undefined, 'SOFT_BOUNCE', false],
  ] as const)('that it bounced with %s is a %s', async (code, reason, isRetired) => {
    const sent = await makeSent(g, 'EMAIL');
    expect(await postEmailReceipts(g, [{ delivery: sent.id, status: 'BOUNCED', code }])).toBe(204);
    const { recipient, ...story } = await storyOf(g, sent);
    expect(story).toMatchObject({ status: 'BOUNCED', reason, providerCode: code ?? null });
    expect(recipient).toMatchObject({ isSubscribed: true, isReachable: !isRetired });
  });

  test('that the person calls it spam opts the address out, as said by the person', async () => {
    const sent = await makeSent(g, 'EMAIL');
    expect(await postEmailReceipts(g, [{ delivery: sent.id, status: 'COMPLAINED' }])).toBe(204);
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: false, consentBy: 'person:complaint' });
  });

  test('is refused unless it is signed, with our secret, of now, and as it is', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const body = JSON.stringify({ receipts: [{ delivery: sent.id, status: 'DELIVERED' }] });
    const [secret, ofSms] = [await receiptSecretOf(g, 'email'), await receiptSecretOf(g, 'sms')];
    const sixMinutes = 360_000;
    const wrong: Record<string, string>[] = [
      {},
      { authorization: basic(secret) },
      signedHeaders(ofSms, body),
      signedHeaders(secret, `${body} `),
      signedHeaders(secret, body, { at: new Date(Date.now() - sixMinutes) }),
      signedHeaders(secret, body, { at: new Date(Date.now() + sixMinutes) }),
      { ...signedHeaders(secret, body), 'webhook-id': 'msg_another' },
    ];
    for (const headers of wrong) {
      expect(await postReceipt(g, 'email', { body, headers: { 'content-type': 'application/json', ...headers } })).toBe(
        401,
      );
    }
    expect(await storyOf(g, sent)).toMatchObject({ status: 'SENT' });
  });
});

const nobodyHere = 'smtp; 550 5.1.1 <ada@example.com>: nobody here';

/** A notification as a mail server writes it (RFC 3464, appendix E), about `id`. */
const notification = (
  id: string,
  { action = 'failed', status = '5.1.1', returned = 'message/rfc822', envelopeId = '', diagnostic = nobodyHere } = {},
) =>
  [
    'From: MAILER-DAEMON@mx.example.net',
    'To: carillon@example.com',
    'Subject: Undelivered Mail Returned to Sender',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b0"',
    '',
    '--b0',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'Your mail could not be delivered.',
    '',
    '--b0',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; mx.example.net',
    ...(envelopeId === '' ? [] : [`Original-Envelope-Id: ${envelopeId}`]),
    '',
    'Original-Recipient: rfc822;ada@example.com',
    'Final-Recipient: rfc822;',
    ' ada@example.com',
    `Action: ${action}`,
    `Status: ${status}`,
    `Diagnostic-Code: ${diagnostic}`,
    '',
    '--b0',
    `Content-Type: ${returned}`,
    '',
    'From: carillon@example.com',
    'To: ada@example.com',
    `Message-ID: <${id}@example.com>`,
    'Subject: Hello',
    '',
    ...(returned === 'message/rfc822' ? ['Hello'] : []),
    '--b0--',
    '',
  ].join('\r\n');

async function postMail(body: string, contentType = 'message/rfc822') {
  const authorization = basic(await receiptSecretOf(g, 'email'));
  return postReceipt(g, 'email', { body, headers: { 'content-type': contentType, authorization } });
}

describe('a delivery status notification (RFC 3464)', () => {
  test.each([
    [{ status: '5.1.1' }, 'BOUNCED', 'HARD_BOUNCE', true],
    [{ status: '5.1.1', returned: 'text/rfc822-headers' }, 'BOUNCED', 'HARD_BOUNCE', true],
    [{ status: '4.4.1' }, 'BOUNCED', 'SOFT_BOUNCE', false],
    [{ status: '5.7.1' }, 'BOUNCED', 'HARD_BOUNCE', false],
    [{ action: 'Failed', status: '5.1.2 (no such host)' }, 'BOUNCED', 'HARD_BOUNCE', true],
    [{ action: 'delivered', status: '2.0.0' }, 'DELIVERED', null, false],
    [{ action: 'delayed', status: '4.4.1' }, 'SENT', null, false],
    [{ action: 'relayed', status: '2.0.0' }, 'SENT', null, false],
  ] as const)('of %j makes the mail %s, %s', async (facts, status, reason, isRetired) => {
    const sent = await makeSent(g, 'EMAIL');
    expect(await postMail(notification(sent.id, facts))).toBe(204);
    const { recipient, ...story } = await storyOf(g, sent);
    expect(story).toMatchObject({ status, reason });
    expect(recipient?.retiredAt === null).toBe(!isRetired);
  });

  test.each([
    [nobodyHere, '5.1.1', true],
    ['smtp;550-5.1.1 The account that you tried to reach does not exist.\r\n 550 5.1.1 Bye.', '5.1.1', true],
    ['smtp; 550 5.7.23 SPF validation failed', '5.7.23', false],
    ['smtp; 550 SPF check failed for 5.1.1.1', '5.0.0', false],
    ['smtp; 550 5.1.1.1 is on a list', '5.0.0', false],
    ['smtp; 450 4.2.2 Mailbox full', '5.0.0', false],
    ['x-unix; 550 5.1.1 nobody here', '5.0.0', false],
  ])('of 5.0.0 that quotes %j means %s', async (diagnostic, code, isRetired) => {
    const sent = await makeSent(g, 'EMAIL');
    expect(await postMail(notification(sent.id, { status: '5.0.0', diagnostic }))).toBe(204);
    const { recipient, ...story } = await storyOf(g, sent);
    expect(story).toMatchObject({ status: 'BOUNCED', reason: 'HARD_BOUNCE', providerCode: code });
    expect(recipient?.retiredAt === null).toBe(!isRetired);
  });

  test('finds the mail by the envelope id where what came back has no Message-ID of ours', async () => {
    const sent = await makeSent(g, 'EMAIL');
    expect(await postMail(notification('somebody', { envelopeId: sent.id }))).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'BOUNCED' });
  });

  test('may be posted as multipart/report, with line ends of either kind', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const mail = notification(sent.id);
    const body = mail.slice(mail.indexOf('\r\n\r\n') + 4);
    const contentType = 'multipart/report; report-type=delivery-status; boundary="b0"';
    expect(await postMail(body.replaceAll('\r\n', '\n'), contentType)).toBe(204);
    expect(await storyOf(g, sent)).toMatchObject({ status: 'BOUNCED', providerCode: '5.1.1' });
  });

  test('may be signed instead of shown the secret', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const body = notification(sent.id);
    const headers = signedHeaders(await receiptSecretOf(g, 'email'), body);
    expect(await postReceipt(g, 'email', { body, headers: { 'content-type': 'message/rfc822', ...headers } })).toBe(
      204,
    );
    expect(await storyOf(g, sent)).toMatchObject({ status: 'BOUNCED' });
  });

  test('of somebody else’s mail changes nothing, and what is none is answered 400', async () => {
    expect(await postMail(notification('somebody-else'))).toBe(204);
    expect(await postMail('Subject: Out of office\r\n\r\nBack on Monday.')).toBe(400);
    expect(await postMail('')).toBe(400);
  });
});

describe('an address that was retired', () => {
  test('is sent nothing more: ADDRESS_GONE', async () => {
    const sent = await makeSent(g, 'EMAIL');
    await postEmailReceipts(g, [{ delivery: sent.id, status: 'BOUNCED', code: '5.1.1' }]);
    const again = await makeNotification(
      g.server,
      toSend({ users: [{ id: sent.person.id }] }, { channels: ['EMAIL'] }),
    );
    expect((await settledDeliveries(g.server, again)).deliveries.nodes).toMatchObject([
      { status: 'DISCARDED', reason: 'ADDRESS_GONE' },
    ]);
  });

  test('is tried again when somebody adds it anew, or its person subscribes', async () => {
    for (const revive of [
      ({ person, email }: { person: { id: string }; email: string }) =>
        addRecipient(g.server, { user: { id: person.id }, email }),
      ({ recipient }: { recipient: string }) => updateRecipient(g.server, { recipient, isSubscribed: true }),
    ]) {
      const sent = await makeSent(g, 'EMAIL');
      await postEmailReceipts(g, [{ delivery: sent.id, status: 'BOUNCED', code: '5.1.1' }]);
      await revive(sent);
      expect((await storyOf(g, sent)).recipient).toMatchObject({ retiredAt: null, isReachable: true });
    }
  });

  test('is not retired again by a repeat of what was told before', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const receipts = [{ delivery: sent.id, status: 'BOUNCED', code: '5.1.1' }];
    await postEmailReceipts(g, receipts);
    await addRecipient(g.server, { user: { id: sent.person.id }, email: sent.email });
    await postEmailReceipts(g, receipts);
    expect((await storyOf(g, sent)).recipient).toMatchObject({ retiredAt: null });
  });
});

test('the secret that providers are given is encrypted at rest (rule M9)', async () => {
  const secret = await receiptSecretOf(g, 'email');
  const kept = await g.db.deploymentSecret.findUniqueOrThrow({ where: { name: 'receipt secret' } });
  expect(Buffer.from(kept.value).toString('latin1')).not.toContain(secret);
  expect(createCipher(receiptSettings.dataEncryptionKey).decrypt('receipt secret', kept.value)).toMatch(
    /^[A-Za-z0-9+/]{43}=$/,
  );
});
