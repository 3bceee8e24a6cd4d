import { expect, test } from 'vitest';
import { renderApns } from '../../src/channels/render-apns.ts';
import { renderEmail } from '../../src/channels/render-email.ts';
import { renderFcm } from '../../src/channels/render-fcm.ts';
import { renderPush } from '../../src/channels/render-push.ts';
import { makeMessage } from '../support/make-message.ts';

const buttons = Array.from({ length: 12 }, (_, index) => ({
  label: `Button ${index + 1}`,
  url: index === 0 ? 'https://example.com/?a=1&b=<2>' : null,
  action: index === 1 ? 'like' : null,
}));
const content = { buttons };
const fcm = { kind: 'fcm' as const, token: 'token' };

test('a browser gets two buttons, each with an action that tells it apart', () => {
  const address = { kind: 'webPush' as const, endpoint: 'https://example.com', p256dh: '', auth: '' };
  expect(renderPush(makeMessage({ channel: 'PUSH', platform: 'WEB', address, content })).buttons).toEqual([
    { label: 'Button 1', action: 'button-1', url: 'https://example.com/?a=1&b=<2>' },
    { label: 'Button 2', action: 'like' },
  ]);
});

test('Android gets three, as JSON among the data', () => {
  const { data } = renderFcm(makeMessage({ channel: 'PUSH', platform: 'ANDROID', address: fcm, content }));
  expect(JSON.parse(data.buttons ?? '')).toHaveLength(3);
});

test('iOS gets ten, beside the alert', () => {
  const address = { kind: 'apns' as const, token: 'token' };
  expect(renderApns(makeMessage({ channel: 'PUSH', platform: 'IOS', address, content })).buttons).toHaveLength(10);
  const { data } = renderFcm(makeMessage({ channel: 'PUSH', platform: 'IOS', address: fcm, content }));
  expect(JSON.parse(data.buttons ?? '')).toHaveLength(10);
});

test('an e-mail gets those that open something as links, escaped', () => {
  const message = makeMessage({ channel: 'EMAIL', address: { kind: 'email', email: 'a@example.com' }, content });
  const { html, text } = renderEmail(message.content);
  expect(html.match(/<a /g)).toHaveLength(1);
  expect(html).toContain('<a href="https://example.com/?a=1&amp;b=%3C2%3E">Button 1</a>');
  expect(text).toContain('Button 1: https://example.com/?a=1&b=%3C2%3E');
});

test('a message without buttons has none', () => {
  const message = makeMessage({ channel: 'PUSH', platform: 'ANDROID', address: fcm });
  expect(renderPush(message)).not.toHaveProperty('buttons');
  expect(renderFcm(message).data).not.toHaveProperty('buttons');
});
