import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Message, MessageContent } from '../../src/channels/channel.ts';
import { classifySmtpReply, createSmtpChannel, toMessageId } from '../../src/channels/smtp.ts';
import { type FakeSmtp, startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { makeMessage } from '../support/make-message.ts';
import { until } from '../support/until.ts';

const from = 'Carillon <carillon@example.com>';
const never = new AbortController().signal;

let server: FakeSmtp;
let channel: ReturnType<typeof createSmtpChannel>;
beforeAll(async () => {
  server = await startFakeSmtp();
  channel = createSmtpChannel({ url: server.url, from });
});
afterAll(async () => {
  await channel.close();
  await server.close();
});

function toAda(content: Partial<MessageContent> = {}, given: Partial<Message> = {}): Message {
  return makeMessage({ channel: 'EMAIL', address: { kind: 'email', email: 'ada@example.com' }, ...given, content });
}

/** Sends one mail and answers what the server got. */
async function sendAndRead(message: Message) {
  const before = server.mails.length;
  await channel.send(message, never);
  const mail = (await server.received(before + 1))[before];
  if (!mail) throw new Error('No mail came.');
  return mail;
}

describe('the mail', () => {
  test('has the title as its subject and both parts say everything', async () => {
    const mail = await sendAndRead(
      toAda({
        title: 'Größe & Preis',
        body: 'Line 1\nLine 2 <b>',
        url: 'https://example.com/a?b=1&c=2',
        image: 'https://example.com/i.png',
      }),
    );
    expect(mail).toMatchObject({
      from: 'carillon@example.com',
      to: ['ada@example.com'],
      subject: 'Größe & Preis',
    });
    expect(mail.headers.get('from')).toEqual([from]);
    expect(mail.text.trim()).toBe('Größe & Preis\n\nLine 1\nLine 2 <b>\n\nhttps://example.com/a?b=1&c=2');
    expect(mail.html).toContain('<h1 style="font-size:20px">Größe &amp; Preis</h1><p>Line 1<br>Line 2 &lt;b&gt;</p>');
    expect(mail.html).toContain('<img src="https://example.com/i.png"');
    expect(mail.html).toContain('<a href="https://example.com/a?b=1&amp;c=2">');
  });

  test('without a title has the first line of its body as subject', async () => {
    expect((await sendAndRead(toAda({ body: '\n  Your parcel\nis here' }))).subject).toBe('Your parcel');
  });

  test('links to web addresses only', async () => {
    const { html } = await sendAndRead(toAda({ url: 'javascript:alert(1)', image: 'data:text/html,x' }));
    expect(html).not.toMatch(/<a |<img /);
  });

  test.each([
    'Hi\r\nBcc: eve@example.com',
    'Hi\nBcc: eve@example.com\n\nbody',
    'Hi\r\n\r\nX',
    'Hi\u0000\u2028Bcc: eve@example.com',
  ])('gains no header and no recipient by its title: %j', async (title) => {
    const mail = await sendAndRead(toAda({ title }));
    expect(mail.headers.has('bcc')).toBe(false);
    expect(mail.to).toEqual(['ada@example.com']);
    expect(mail.subject).toBe('Hi');
  });

  test.each([
    'ada@example.com, eve@example.com',
    'ada@example.com\r\nRCPT TO:<eve@example.com>',
    '<ada@example.com>,<eve@example.com>',
    'Ada <eve@example.com>',
  ])('goes to nobody else by its address: %j', async (email) => {
    const outcome = await channel.send(makeMessage({ channel: 'EMAIL', address: { kind: 'email', email } }), never);
    expect(outcome).toMatchObject({ kind: 'rejected' });
    expect(server.mails.some((mail) => mail.to.includes('eve@example.com'))).toBe(false);
  });

  test('of one delivery has one Message-ID, however often it is sent', async () => {
    const message = toAda();
    const first = await sendAndRead(message);
    const second = await sendAndRead({ ...message, attempt: 2 });
    expect(first.messageId).toBe(`<${message.deliveryId}@example.com>`);
    expect(second.messageId).toBe(first.messageId);
    // Where the server knows it, a notification of a failure names it too (RFC 3461).
    expect(first.envelopeId).toBe(message.deliveryId);
  });
});

test.each([
  ['carillon@example.com', '<id@example.com>'],
  ['Carillon <carillon@mail.example.com>', '<id@mail.example.com>'],
  ['"a@b" <carillon@example.com> ', '<id@example.com>'],
  ['carillon', '<id@localhost>'],
])('the Message-ID of a mail from %s is %s', (sender, messageId) => {
  expect(toMessageId('id', sender)).toBe(messageId);
});

describe('connections', () => {
  test('are kept and used again', async () => {
    const before = server.connectionCount();
    await channel.send(toAda(), never);
    await channel.send(toAda(), never);
    expect(server.connectionCount() - before).toBeLessThanOrEqual(1);
  });

  test('survive a refused message', async () => {
    server.refuseNext('RCPT', 550, '5.1.1 Nobody here');
    await channel.send(toAda(), never);
    expect(await channel.send(toAda(), never)).toEqual({ kind: 'accepted', providerCode: '250 2.0.0' });
  });
});

describe('mails that wait for a connection', () => {
  test('of a server that is slow are all taken, once each, however long the queue is', async () => {
    const slow = await startFakeSmtp({ answerMs: 20 });
    const toSlow = createSmtpChannel({ url: slow.url, from, connectionsMax: 1, timeoutMs: 200 });
    // Together they take longer than the 600 ms that one of them may.
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => toSlow.send(toAda(), never)));
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['accepted']));
    expect(slow.mails).toHaveLength(50);
    await toSlow.close();
    await slow.close();
  });

  test('are not sent, and are no attempt, when they are given up meanwhile', async () => {
    const slow = await startFakeSmtp({ answerMs: 100 });
    const toSlow = createSmtpChannel({ url: slow.url, from, connectionsMax: 1 });
    const first = toSlow.send(toAda(), never);
    const givingUp = new AbortController();
    const second = toSlow.send(toAda(), givingUp.signal);
    let isPaused = false;
    const third = toSlow.send(toAda(), never, () => !isPaused);
    isPaused = true;
    const fourth = toSlow.send(toAda(), never);
    givingUp.abort();
    const unsent = { kind: 'retry', providerCode: 'ABORTED', isUnsent: true };
    expect(await Promise.all([second, third])).toEqual([unsent, unsent]);
    expect(await Promise.all([first, fourth])).toMatchObject([{ kind: 'accepted' }, { kind: 'accepted' }]);
    expect(slow.mails).toHaveLength(2);
    await toSlow.close();
    await slow.close();
  });
});

describe('a channel that is closed', () => {
  test('hangs up after what is being sent, and what waits for that', async () => {
    const slow = await startFakeSmtp({ answerMs: 20 });
    const toSlow = createSmtpChannel({ url: slow.url, from });
    const outcomes = Array.from({ length: 32 }, () => toSlow.send(toAda(), never));
    await slow.received(1);
    await toSlow.close();
    expect(new Set((await Promise.all(outcomes)).map(({ kind }) => kind))).toEqual(new Set(['accepted']));
    expect(slow.mails).toHaveLength(32);
    await until(async () => slow.openCount() === 0);
    await slow.close();
  });

  test('keeps no connection for a send that comes late', async () => {
    const fresh = createSmtpChannel({ url: server.url, from });
    const before = server.openCount();
    await fresh.close();
    expect(await fresh.send(toAda(), never)).toMatchObject({ kind: 'accepted' });
    await until(async () => server.openCount() === before);
  });
});

describe('what the server refuses', () => {
  afterEach(async () => {
    // Nothing scripted is left over for the next test.
    expect(await channel.send(toAda(), never)).toMatchObject({ kind: 'accepted' });
  });

  test.each([
    ['RCPT', 550, '5.1.1 Nobody here', { kind: 'gone', providerCode: '550 5.1.1' }],
    ['RCPT', 550, 'No such user', { kind: 'rejected', reason: 'HARD_BOUNCE', providerCode: '550' }],
    ['RCPT', 450, '4.2.1 Try later', { kind: 'retry', providerCode: '450 4.2.1', isMessageOnly: true }],
    ['RCPT', 452, '4.3.1 Mail system full', { kind: 'retry', providerCode: '452 4.3.1' }],
    [
      'RCPT',
      554,
      '5.7.1 Relay access denied',
      { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: '554 5.7.1' },
    ],
    ['MAIL', 553, '5.7.1 Sender not yours', { kind: 'channelDown', providerCode: '553 5.7.1' }],
    [
      'MAIL',
      550,
      '5.1.1 Sender address rejected: Domain not found',
      { kind: 'channelDown', providerCode: '550 5.1.1' },
    ],
    ['MAIL', 530, '5.7.0 Log in first', { kind: 'channelDown', providerCode: '530 5.7.0' }],
    ['MAIL', 552, '5.3.4 Too big', { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: '552 5.3.4' }],
    ['DATA', 554, '5.6.0 Spam', { kind: 'rejected', reason: 'PROVIDER_REJECTED', providerCode: '554 5.6.0' }],
    ['DATA', 451, '4.3.0 Disk full', { kind: 'retry', providerCode: '451 4.3.0' }],
  ] as const)('after %s with %i %s', async (stage, code, text, outcome) => {
    server.refuseNext(stage, code, text);
    expect(await channel.send(toAda(), never)).toEqual(outcome);
  });

  test.each([
    [554, 'No SMTP service here', { kind: 'channelDown', providerCode: '554' }],
    [421, '4.7.0 Too many connections', { kind: 'retry', providerCode: '421 4.7.0' }],
  ])('instead of a greeting with %i %s', async (code, text, outcome) => {
    const fresh = createSmtpChannel({ url: server.url, from });
    server.refuseNext('CONNECT', code, text);
    expect(await fresh.send(toAda(), never)).toEqual(outcome);
    await fresh.close();
  });
});

describe('a server that wants a login', () => {
  test.each([
    ['right', 'channel', { kind: 'accepted', providerCode: '250 2.0.0' }],
    ['wrong', 'password', { kind: 'channelDown', providerCode: '535 5.7.8' }],
  ])('and gets a %s password', async (_, password, outcome) => {
    const strict = await startFakeSmtp({ login: { user: 'ada', password: 'channel' } });
    const url = new URL(strict.url);
    url.password = password;
    const fresh = createSmtpChannel({ url: url.href, from });
    expect(await fresh.send(toAda(), never)).toEqual(outcome);
    await fresh.close();
    await strict.close();
  });

  test('but cannot check it now is tried again', async () => {
    const strict = await startFakeSmtp({ login: { user: 'ada', password: 'channel' } });
    strict.refuseNext('AUTH', 454, '4.7.0 Temporary authentication failure');
    const fresh = createSmtpChannel({ url: strict.url, from });
    expect(await fresh.send(toAda(), never)).toEqual({ kind: 'retry', providerCode: '454 4.7.0' });
    await fresh.close();
    await strict.close();
  });
});

test.each([
  [550, '5.1.1', 'RCPT TO', 'gone'],
  [550, '5.1.2', 'RCPT TO', 'gone'],
  [501, '5.1.3', 'RCPT TO', 'gone'],
  [551, '5.1.6', 'RCPT TO', 'gone'],
  [556, '5.1.10', 'RCPT TO', 'gone'],
  [550, '5.1.1', 'DATA', 'gone'],
  [550, '5.1.1', 'MAIL FROM', 'channelDown'],
  [553, '5.1.3', 'MAIL FROM', 'channelDown'],
  [550, '5.1.1', 'CONN', 'channelDown'],
  [500, '5.5.1', 'STARTTLS', 'channelDown'],
  [454, '4.7.0', 'STARTTLS', 'retry'],
  [553, '5.1.7', 'RCPT TO', 'channelDown'],
  [550, '5.1.8', 'DATA', 'channelDown'],
  [421, null, 'DATA', 'retry'],
  [452, '4.2.2', 'RCPT TO', 'retry'],
  [503, '5.5.1', 'MAIL FROM', 'retry'],
  [530, null, 'RCPT TO', 'channelDown'],
  [534, null, 'AUTH PLAIN', 'channelDown'],
  [535, null, 'AUTH LOGIN', 'channelDown'],
  [538, null, 'AUTH PLAIN', 'channelDown'],
  [500, null, 'AUTH PLAIN', 'channelDown'],
  [554, null, 'CONN', 'channelDown'],
  [550, null, 'EHLO', 'channelDown'],
  [552, '5.2.2', 'RCPT TO', 'rejected HARD_BOUNCE'],
  [552, null, 'DATA', 'rejected PROVIDER_REJECTED'],
  [554, '5.3.4', 'MAIL FROM', 'rejected PROVIDER_REJECTED'],
  [550, null, 'MAIL FROM', 'channelDown'],
  [550, '5.7.1', 'RCPT TO', 'rejected PROVIDER_REJECTED'],
  [553, null, 'RCPT TO', 'rejected HARD_BOUNCE'],
  [550, '5.2.1', 'RCPT TO', 'rejected HARD_BOUNCE'],
  [554, '5.6.0', 'DATA', 'rejected PROVIDER_REJECTED'],
])('%i %s after %s is %s', (code, enhancedCode, command, expected) => {
  const verdict = classifySmtpReply({ code, enhancedCode }, command);
  expect(verdict.kind === 'rejected' ? `rejected ${verdict.reason}` : verdict.kind).toBe(expected);
});
