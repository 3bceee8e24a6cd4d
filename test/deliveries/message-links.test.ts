import { expect, test } from 'vitest';
import { renderEmail } from '../../src/channels/render-email.ts';
import { cutAtWebAddresses } from '../../src/channels/web-addresses.ts';
import { hostsWrittenIn, linkContent } from '../../src/deliveries/message-links.ts';
import { readClickToken } from '../../src/deliveries/signed-links.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { makeMessage } from '../support/make-message.ts';

const cipher = createCipher(Buffer.alloc(32, 1));
const publicUrl = 'https://carillon.example.com';
const toMail = { channel: 'EMAIL', address: { kind: 'email', email: 'a@example.com' } } as const;
const wishes = { purpose: 'MARKETING', trackOpens: true } as const;

function link(
  channel: 'EMAIL' | 'SMS' | 'PUSH' | 'IN_APP',
  given: { body?: string; url?: string },
  url: string | null = publicUrl,
) {
  const { content } = makeMessage({ channel, address: { kind: 'email', email: 'a@example.com' }, content: given });
  const delivery = { id: crypto.randomUUID(), channel, recipientId: crypto.randomUUID(), address: 'a@example.com' };
  const trackedHosts = hostsWrittenIn({ given, beside: 'https://written.example' });
  return linkContent({ cipher, publicUrl: url }, content, {
    delivery,
    wishes: { ...wishes, trackedHosts },
    topicId: null,
  });
}

test('only hosts that the sender has written are led to', () => {
  const hosts = hostsWrittenIn({
    body: 'See https://a.example/{{ user.x }}, "http://B.example:8080", (https://c.example). https://d.example{{ user.x }} https://{{ user.x }}/y',
    buttons: [{ url: 'https://e.example?x=1' }],
    labels: [{ defaultValue: "{{ 'https://f.example' | append: user.x }}\nhttps://g.example\n" }],
  });
  expect([...hosts].sort()).toEqual([
    'a.example',
    'b.example:8080',
    'c.example',
    'e.example',
    'f.example',
    'g.example',
  ]);
});

test('a link that opens an app, or is too long, stays as it is', () => {
  for (const url of ['myapp://sale', `https://a.example/${'a'.repeat(2_048)}`, 'mailto:a@example.com']) {
    expect(link('PUSH', { url }).content.url).toBe(url);
  }
});

test('where nobody has said where we are reached, no link is ours', () => {
  expect(link('EMAIL', { url: 'https://a.example' }, null)).toMatchObject({
    content: { url: 'https://a.example' },
    unsubscribeUrl: null,
    openUrl: null,
  });
});

test('the text of an SMS keeps all that is no link', () => {
  const { body } = link('SMS', { body: 'A (https://a.example/x?y=1), "http://b.example". ftp://c.example!' }).content;
  expect(body.replace(/https:\/\/carillon\.example\.com\/l\/[\w-]+/g, '*')).toBe('A (*), "*". ftp://c.example!');
});

test.each([
  ['詳細はhttps://shop.example/saleをご覧ください。', '詳細は*をご覧ください。', '/sale'],
  ['点击https://shop.example/sale。退订回T', '点击*。退订回T', '/sale'],
  ['지금 https://shop.example/sale를 보세요', '지금 *를 보세요', '/sale'],
  ['こちらhttps://shop.exampleをどうぞ', 'こちら*をどうぞ', ''],
  ['See “https://shop.example/x”.', 'See “*”.', '/x'],
  ['https://shop.example/x🎉 now', '*🎉 now', '/x'],
  ['https://shop.example🎉 now', '*🎉 now', ''],
  ['«https://shop.example/a(b)?c=%20&d=[e]#f…»', '«*…»', '/a(b)?c=%20&d=[e]#f'],
  ['https://shop.example/straße/продажа。', '*。', '/straße/продажа'],
  ['https://shop.example: https://shop.example/?', '*: *?', '/'],
  ['(https://shop.example/a_(b)).', '(*).', '/a_(b)'],
  ['https://shop.example/[a]]', '*]', '/[a]'],
])('of %s only the web address is a tracked link', (body, said, path) => {
  const tracked = link('SMS', { body }).content.body;
  expect(tracked.replace(/https:\/\/carillon\.example\.com\/l\/[\w-]+/g, '*')).toBe(said);
  const token = tracked.match(/\/l\/([\w-]+)(?!.*\/l\/)/s)?.[1] ?? '';
  expect(readClickToken(cipher, token)?.target).toBe(`https://shop.example${path}`);
});

test.each([
  'https://münchen.example/x',
  'https://shop.例え.example/x',
  'https://user:secret@shop.example/x',
  'https://shop.example/日本語',
  'https://shop.example/?q=日本',
  'https://shop.example/?q={x}',
  'https://shop.example/a|b',
])('%s, which is more than its beginning, stays as it is', (address) => {
  const body = `See ${address} and https://shop.example.`;
  const tracked = link('SMS', { body }).content.body;
  expect(tracked.startsWith(`See ${address} and https://carillon.example.com/l/`)).toBe(true);
});

test('a text is cut in a time that grows as it does, whatever stands behind its addresses', () => {
  const marks = '!'.repeat(1_000_000);
  expect(cutAtWebAddresses(`https://shop.example/${marks}a`)).toHaveLength(3);
  expect(cutAtWebAddresses(`https://shop.example/${marks}`)[1]?.text).toBe('https://shop.example/');
  expect(hostsWrittenIn(`https://shop.example${'.'.repeat(1_000_000)}`)).toEqual(new Set(['shop.example']));
});

test('the text of an e-mail shows what was written, and leads through us; what only a placeholder brings does not', () => {
  const body = 'A <b> https://shop.example/?a=1&b="2\r\nand https://other.example/x.';
  const { content, bodyLinks } = linkContent(
    { cipher, publicUrl },
    makeMessage({ ...toMail, content: { body } }).content,
    {
      delivery: { id: crypto.randomUUID(), channel: 'EMAIL', recipientId: null, address: null },
      wishes: { ...wishes, trackedHosts: hostsWrittenIn('https://shop.example/?a=1') },
      topicId: null,
    },
  );
  const tracked = bodyLinks.get('https://shop.example/?a=1&b=') ?? '';
  expect(tracked).toContain(`${publicUrl}/l/`);
  const { html, text, subject } = renderEmail(content, { bodyLinks, unsubscribeUrl: null, openUrl: null });
  expect(html).toContain(
    `<p>A &lt;b&gt; <a href="${tracked}">https://shop.example/?a=1&amp;b=</a>&quot;2<br>and <a href="https://other.example/x">https://other.example/x</a>.</p>`,
  );
  expect(text).toBe(`A <b> ${tracked}"2\r\nand https://other.example/x.`);
  expect(subject).toBe('A <b> https://shop.example/?a=1&b="2');
});

test('the text of a push and of the inbox is not touched', () => {
  const body = 'See https://shop.example/sale';
  expect(link('PUSH', { body }).content.body).toBe(body);
  expect(link('IN_APP', { body }).content.body).toBe(body);
});

test('only an e-mail has a link to unsubscribe and an image', () => {
  expect(link('SMS', {})).toMatchObject({ unsubscribeUrl: null, openUrl: null });
  expect(link('EMAIL', {}).unsubscribeUrl).toContain(`${publicUrl}/unsubscribe/`);
  expect(link('EMAIL', {}).openUrl).toMatch(/\/o\/[\w-]+\.gif$/);
});
