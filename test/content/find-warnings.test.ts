import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/channels/channel.ts';
import { renderApns } from '../../src/channels/render-apns.ts';
import { renderFcm } from '../../src/channels/render-fcm.ts';
import { renderPush } from '../../src/channels/render-push.ts';
import { findContentWarnings } from '../../src/content/find-warnings.ts';
import { type ContentInput, parseContent } from '../../src/content/parse-content.ts';
import { exampleIds } from '../../src/content/push-payload.ts';
import { Channel, type Platform } from '../../src/generated/prisma/enums.ts';
import { makeMessage } from '../support/make-message.ts';

/** `<channel> <platform> <field> <effect>` of each warning. */
function warningsOf(
  input: Partial<ContentInput>,
  outlets: Partial<Parameters<typeof findContentWarnings>[1]> = {},
): string[] {
  const found = findContentWarnings(parseContent({ body: 'Hello', ...input }), { channels: [], ...outlets });
  return found.map(({ channel, platform, field, effect }) =>
    [channel, platform, field, effect].filter(Boolean).join(' '),
  );
}

const buttons = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ label: `${index}`, url: 'https://example.com' }));

const someToken = { channel: 'PUSH', address: { kind: 'fcm', token: 'a' } } as const;

function toCountedByFcm(message: Message): object {
  const { notification, data } = renderFcm(message);
  return { notification, data };
}

describe('the sender is told what is dropped where (rule M3)', () => {
  test.each<[string, Partial<ContentInput>, Partial<Parameters<typeof findContentWarnings>[1]>, string[]]>([
    ['a plain text', { title: 'Hi' }, {}, []],
    [
      'a subtitle',
      { subtitle: 'x' },
      {},
      [
        'PUSH WEB subtitle DROPPED',
        'PUSH ANDROID subtitle DEPENDS',
        'EMAIL subtitle DROPPED',
        'SMS subtitle DROPPED',
        'WHATSAPP subtitle DROPPED',
      ],
    ],
    [
      'an icon to apps',
      { icon: 'https://example.com/i' },
      { channels: ['PUSH'] },
      ['PUSH WEB icon DEPENDS', 'PUSH IOS icon DROPPED', 'PUSH ANDROID icon DROPPED'],
    ],
    [
      'an image to iOS',
      { image: 'https://example.com/i' },
      { channels: ['PUSH'], platform: 'IOS' },
      ['PUSH IOS image DEPENDS'],
    ],
    ['an image by SMS', { image: 'https://example.com/i' }, { channels: ['SMS'] }, ['SMS image DROPPED']],
    [
      'three buttons to browsers',
      { buttons: buttons(3) },
      { channels: ['PUSH'], platform: 'WEB' },
      ['PUSH WEB buttons DEPENDS', 'PUSH WEB buttons CUT'],
    ],
    [
      'three buttons to Android',
      { buttons: buttons(3) },
      { channels: ['PUSH'], platform: 'ANDROID' },
      ['PUSH ANDROID buttons DEPENDS'],
    ],
    ['buttons by e-mail, which become links', { buttons: buttons(3) }, { channels: ['EMAIL'] }, []],
    [
      'a button by e-mail that opens nothing',
      { buttons: [{ label: 'x' }] },
      { channels: ['EMAIL'] },
      ['EMAIL buttons DROPPED'],
    ],
    ['data by e-mail', { data: { a: 1 } }, { channels: ['EMAIL', 'IN_APP'] }, ['EMAIL data DROPPED']],
    [
      'a title of 46 characters',
      { title: 'x'.repeat(46) },
      { channels: ['PUSH'], platform: 'IOS' },
      ['PUSH IOS title CUT'],
    ],
    ['a title of 45 characters', { title: 'x'.repeat(45) }, { channels: ['PUSH'], platform: 'IOS' }, []],
    [
      'a text of 4,001 characters',
      { body: 'x'.repeat(4_001) },
      { channels: ['PUSH'], platform: 'IOS' },
      ['PUSH IOS body CUT', 'PUSH IOS payload FAILS'],
    ],
    [
      'what is larger than a push can be',
      { body: 'ä'.repeat(2_100) },
      { channels: ['PUSH'] },
      ['PUSH WEB payload FAILS', 'PUSH IOS payload FAILS', 'PUSH ANDROID payload FAILS'],
    ],
    ['a long SMS', { body: 'x'.repeat(161) }, { channels: ['SMS'] }, ['SMS body SPLIT']],
    [
      'an SMS of 1,600 characters, with its title and URL',
      { title: 'x'.repeat(600), body: 'x'.repeat(979), url: 'https://example.com' },
      { channels: ['SMS'] },
      ['SMS body SPLIT'],
    ],
    [
      'an SMS of 1,601 characters, with its title and URL',
      { title: 'x'.repeat(600), body: 'x'.repeat(980), url: 'https://example.com' },
      { channels: ['SMS'] },
      ['SMS body SPLIT', 'SMS body DEPENDS'],
    ],
    [
      'all of it by WhatsApp, as text',
      {
        title: 'x',
        url: 'https://example.com',
        subtitle: 'x',
        icon: 'https://example.com/i',
        image: 'https://example.com/i',
        buttons: buttons(1),
        data: { a: 1 },
      },
      { channels: ['WHATSAPP'] },
      ['subtitle', 'icon', 'image', 'buttons', 'data'].map((field) => `WHATSAPP ${field} DROPPED`),
    ],
    [
      'all of it by WhatsApp, beside a template',
      { title: 'x', url: 'https://example.com', subtitle: 'x', data: { whatsApp: { template: 'x' } } },
      { channels: ['WHATSAPP'] },
      ['title', 'body', 'url', 'subtitle'].map((field) => `WHATSAPP ${field} DROPPED`),
    ],
    [
      'a WhatsApp of 1,600 characters, with its title and URL',
      { title: 'x'.repeat(600), body: 'x'.repeat(979), url: 'https://example.com' },
      { channels: ['WHATSAPP'] },
      [],
    ],
    [
      'a WhatsApp of 1,601 characters, with its title and URL',
      { title: 'x'.repeat(600), body: 'x'.repeat(980), url: 'https://example.com' },
      { channels: ['WHATSAPP'] },
      ['WHATSAPP body DEPENDS'],
    ],
    [
      'a WhatsApp of 4,097 characters',
      { body: 'x'.repeat(4_097) },
      { channels: ['WHATSAPP'] },
      ['WHATSAPP body FAILS'],
    ],
    [
      'a long text beside a WhatsApp template',
      { body: 'x'.repeat(4_097), data: { whatsApp: { template: 'x' } } },
      { channels: ['WHATSAPP'] },
      ['WHATSAPP body DROPPED'],
    ],
    [
      'a variation',
      {
        variations: [
          { language: 'de', subtitle: 'x' },
          { language: 'fr', subtitle: 'y' },
        ],
      },
      { channels: ['SMS'] },
      ['SMS subtitle DROPPED'],
    ],
    [
      'a length that placeholders decide',
      { title: `{{ user.firstName }}${'x'.repeat(50)}` },
      { channels: ['PUSH'] },
      [],
    ],
  ])('%s', (_, input, outlets, warnings) => {
    expect(warningsOf(input, outlets).sort()).toEqual([...warnings].sort());
  });

  test.each<[string, Platform, number, (message: Message) => object, string]>([
    ['web push', 'WEB', 3_993, renderPush, 'PUSH WEB payload DEPENDS'],
    ['APNs', 'IOS', 4_096, renderApns, 'PUSH IOS payload DEPENDS'],
    ['FCM', 'ANDROID', 4_096, toCountedByFcm, 'PUSH ANDROID payload FAILS'],
  ])('a push is measured as %s gets it', (_, platform, bytesMax, render, warning) => {
    const subtitle = 'A "quoted" one';
    const bytesOf = (body: string) => {
      const content = { title: 'Hi', subtitle, body };
      const message = makeMessage({ ...exampleIds, ...someToken, platform, content });
      return Buffer.byteLength(JSON.stringify(render(message)));
    };
    const warned = (body: string) =>
      warningsOf({ title: 'Hi', subtitle, body }, { channels: ['PUSH'], platform }).includes(warning);
    const longest = 'x'.repeat(bytesMax - bytesOf(''));
    expect([warned(longest), warned(`${longest}x`)]).toEqual([false, true]);
  });

  test('nothing is dropped by the inbox', () => {
    const everything = {
      title: 'x'.repeat(99),
      subtitle: 'x',
      icon: 'https://example.com',
      image: 'https://example.com',
      buttons: buttons(10),
      data: {},
    };
    expect(warningsOf(everything, { channels: ['IN_APP'] })).toEqual([]);
    expect(warningsOf(everything, { channels: Object.values(Channel) }).length).toBeGreaterThan(10);
  });
});
