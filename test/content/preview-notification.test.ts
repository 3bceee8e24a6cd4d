import { describe, expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { createTemplate, previewNotification, saveLabel, setAttributes } from '../support/content-operations.ts';
import { localIdOf, makePerson, makeSegment } from '../support/send-operations.ts';

const g = useApp({ role: 'gateway' });

async function makeReader() {
  const user = await makePerson(g.server, { emails: [newEmail()] });
  await setAttributes(g.server, user.id, { firstName: 'Ada', preferredLanguage: 'de-AT', tags: ['vip'] });
  return user;
}

describe('a preview', () => {
  test('shows a message as each client would get it, and what becomes of it (rules M3, M4)', async () => {
    const { id } = await makeReader();
    const content = {
      title: 'Hi {{ user.firstName }}',
      subtitle: '{{ data.subtitle }}',
      body: '{{ event.product }}: {{ installation.platform | default: "none" }}',
      variations: [{ language: 'de', body: 'Hallo č {{ installation.platform }}' }],
    };
    const preview = await previewNotification(g.server, {
      content,
      user: { id },
      data: { subtitle: 'S' },
      event: { name: 'purchase', properties: { product: 'Book' } },
    });
    const bodies = preview.messages.map(({ channel, platform, content: said }) => [
      channel,
      platform,
      said?.title,
      said?.body,
    ]);
    expect(bodies).toEqual([
      ['PUSH', 'WEB', 'Hi Ada', 'Hallo č '],
      ['PUSH', 'IOS', 'Hi Ada', 'Hallo č '],
      ['PUSH', 'ANDROID', 'Hi Ada', 'Hallo č ANDROID'],
      ['EMAIL', null, 'Hi Ada', 'Hallo č '],
      ['SMS', null, 'Hi Ada', 'Hallo č '],
      ['WHATSAPP', null, 'Hi Ada', 'Hallo č '],
      ['IN_APP', null, 'Hi Ada', 'Hallo č '],
    ]);
    expect(new Set(preview.messages.map(({ variation }) => variation))).toEqual(new Set([0]));
    expect(preview.messages.find(({ channel }) => channel === 'SMS')).toMatchObject({
      sms: { encoding: 'UCS_2', count: 1 },
      rendered: { text: 'Hi Ada\nHallo č ' },
    });
    expect(preview.messages.find(({ channel }) => channel === 'EMAIL')?.rendered).toMatchObject({ subject: 'Hi Ada' });
    expect(preview.warnings).toContainEqual({ channel: 'PUSH', platform: 'WEB', field: 'subtitle', effect: 'DROPPED' });
    expect(preview.warnings).toContainEqual({ channel: 'SMS', platform: null, field: 'subtitle', effect: 'DROPPED' });
  });

  test('of a WhatsApp is in the language of the phone, as the send is', async () => {
    const { id } = await makePerson(g.server, { phones: [newPhone()] });
    await g.pool.query(sql`
      update recipients set language = 'de' where channel = 'SMS' and user_id = ${localIdOf(id)}::uuid`);
    const content = { body: 'Hello', variations: [{ language: 'de', body: 'Hallo' }] };
    const { messages } = await previewNotification(g.server, { content, user: { id }, channels: ['SMS', 'WHATSAPP'] });
    expect(messages.map((message) => message.content?.body)).toEqual(['Hallo', 'Hallo']);
  });

  test('of a WhatsApp is its text, or the template that its data names, if a value is there for each of its parameters', async () => {
    const { id } = await makeReader();
    const previewOf = async (data?: Record<string, unknown>) => {
      const content = { title: 'Hi', body: 'there', url: 'https://example.com', ...(data && { data }) };
      const { messages, warnings } = await previewNotification(g.server, {
        content,
        user: { id },
        channels: ['WHATSAPP'],
      });
      return { rendered: messages[0]?.rendered, warnings: warnings.map(({ field, effect }) => `${field} ${effect}`) };
    };
    expect(await previewOf()).toEqual({ rendered: { text: 'Hi\nthere\nhttps://example.com' }, warnings: [] });
    const parameter = (name: string) => ({ whatsApp: { template: 'hi', parameters: [`{{ user.${name} }}`] } });
    expect(await previewOf(parameter('firstName'))).toEqual({
      rendered: { template: 'hi', language: 'en', parameters: ['Ada'] },
      warnings: ['title DROPPED', 'body DROPPED', 'url DROPPED'],
    });
    expect(await previewOf(parameter('lastName'))).toMatchObject({
      rendered: null,
      warnings: expect.arrayContaining(['data FAILS']),
    });
  });

  test('of a template, for one channel and platform, with its labels and segments', async () => {
    const { id, externalUserId } = await makeReader();
    const name = `l${Date.now()}`;
    await saveLabel(g.server, { name, cases: [{ filter: { tag: 'vip' }, value: 'gold' }] });
    const segment = await makeSegment(g.server, [id]);
    await createTemplate(g.server, name, { body: 'x', variations: [{ segment, body: `{{ label.${name} }}` }] });
    const user = { externalUserId: externalUserId ?? '' };
    const preview = await previewNotification(g.server, { template: name, user, channels: ['PUSH'], platform: 'IOS' });
    expect(preview.messages).toMatchObject([
      { channel: 'PUSH', platform: 'IOS', variation: 0, failure: null, content: { body: 'gold' } },
    ]);
  });

  test('says why a message cannot be rendered, and what placeholders made too long', async () => {
    const { id } = await makeReader();
    const preview = await previewNotification(g.server, {
      content: { title: '{{ data.title }}', body: 'x', url: '{{ data.url }}' },
      user: { id },
      channels: ['PUSH'],
      platform: 'WEB',
      data: { title: 'x'.repeat(46) },
    });
    expect(preview.messages).toMatchObject([{ failure: null, content: { url: null } }]);
    expect(preview.warnings).toEqual([{ channel: 'PUSH', platform: 'WEB', field: 'title', effect: 'CUT' }]);
    const failing = { content: { body: 'x', url: '{{ data.url }}' }, user: { id }, data: { url: 'javascript:1' } };
    const { messages } = await previewNotification(g.server, failing);
    expect(new Set(messages.map(({ failure, content }) => [failure, content].join()))).toEqual(
      new Set(['URL_INVALID,']),
    );
  });

  test.each([
    ['an unknown user', { content: { body: 'x' }, user: { externalUserId: 'nobody' } }, 'NOT_FOUND', ['user']],
    [
      'a mistake',
      { content: { body: '{{ x }}' }, user: { externalUserId: 'nobody' } },
      'VALUE_INVALID',
      ['content', 'body'],
    ],
    ['nothing to say', { user: { externalUserId: 'nobody' } }, 'VALUE_INVALID', ['content']],
    [
      'data that no send takes',
      { content: { body: 'x' }, user: { externalUserId: 'nobody' }, data: { x: 'x'.repeat(65_536) } },
      'LIMIT_EXCEEDED',
      ['data'],
    ],
    [
      'an event that no send takes',
      {
        content: { body: 'x' },
        user: { externalUserId: 'nobody' },
        event: { name: 'a', properties: { x: 'x'.repeat(8_192) } },
      },
      'LIMIT_EXCEEDED',
      ['event', 'properties'],
    ],
  ])('of %s is refused', async (_, variables, reason, inputPath) => {
    const query = `query($content: NotificationContentInput, $user: UserRef!, $data: JSONObject, $event: NotificationEventInput) {
      previewNotification(content: $content, user: $user, data: $data, event: $event) { messages { channel } }
    }`;
    const { body } = await g.server.send(query, variables);
    expect(body.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason, inputPath } }]);
  });

  test('takes an event in the form in which the send takes it, and in no other', async () => {
    const query = `query($user: UserRef!, $event: NotificationEventInput) {
      previewNotification(content: { body: "{{ event.sku }}" }, user: $user, channels: [EMAIL], event: $event) {
        messages { content { body } }
      }
    }`;
    const { id } = await makeReader();
    const { body: taken } = await g.server.send(query, {
      user: { id },
      event: { name: 'purchase', properties: { sku: 'A-7' } },
    });
    expect(taken.data).toMatchObject({ previewNotification: { messages: [{ content: { body: 'A-7' } }] } });
    const { body: refused } = await g.server.send(query, { user: { id }, event: { sku: 'A-7' } });
    expect(refused.errors?.[0]).toMatchObject({ extensions: { code: 'BAD_USER_INPUT' } });
  });
});
