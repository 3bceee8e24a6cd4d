import { expect, test } from 'vitest';
import { hostsWrittenIn, linkContent } from '../../src/deliveries/message-links.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { makeMessage } from '../support/make-message.ts';

const cipher = createCipher(Buffer.alloc(32, 1));
const publicUrl = 'https://carillon.example.com';
const wishes = { purpose: 'MARKETING', trackOpens: true } as const;

function link(
  channel: 'EMAIL' | 'SMS' | 'PUSH',
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

test('only an e-mail has a link to unsubscribe and an image', () => {
  expect(link('SMS', {})).toMatchObject({ unsubscribeUrl: null, openUrl: null });
  expect(link('EMAIL', {}).unsubscribeUrl).toContain(`${publicUrl}/unsubscribe/`);
  expect(link('EMAIL', {}).openUrl).toMatch(/\/o\/[\w-]+\.gif$/);
});
