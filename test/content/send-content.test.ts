import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, expect, test } from 'vitest';
import type { NotificationContentInput, NotificationTargetInput, SendNotificationInput } from '../generated/graphql.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { makeAttribute } from '../support/attributes.ts';
import {
  createTemplate,
  listRendered,
  previewNotification,
  saveLabel,
  sendWithWarnings,
  setAttributes,
  updateTemplate,
} from '../support/content-operations.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import {
  depersonalize,
  makeInstallation,
  makeNotification,
  sendNotification,
  settledDeliveries,
} from '../support/operations.ts';
import { makeDynamicSegment } from '../support/segments/operations.ts';
import { localIdOf, makePerson, makeSegment, mergeUsers, toSend } from '../support/send-operations.ts';
import { track } from '../support/topics.ts';

const g = useGatewayAndWorker();

type Rest = Partial<SendNotificationInput>;

/** Sends by e-mail, and answers the text that each address got. */
async function mailTo(users: readonly { id: string }[], content: NotificationContentInput, rest: Rest = {}) {
  const target = { users: users.map(({ id }) => ({ id })) };
  const notification = await makeNotification(g.server, toSend(target, { channels: ['EMAIL'], content, ...rest }));
  await g.startWorker();
  const { deliveries } = await settledDeliveries(g.server, notification);
  const mails = await listRendered(g.server, notification);
  return {
    deliveries: deliveries.nodes,
    html: mails.map(({ rendered }) => String(Object(rendered).html)),
    texts: Object.fromEntries(mails.map(({ address, rendered }) => [address, Object(rendered).text])),
  };
}

/** A user with an e-mail address and these attributes. */
async function makeReader(userAttributes: Parameters<typeof setAttributes>[2] = {}) {
  const email = newEmail();
  const user = await makePerson(g.server, { emails: [email] });
  await setAttributes(g.server, user.id, userAttributes);
  return { ...user, email };
}

describe('placeholders are filled in for whoever reads a delivery (rule M4)', () => {
  test('from the user’s attributes, with the fallback value where there is none', async () => {
    const points = await makeAttribute(g.server, { type: 'NUMBER' });
    const ada = await makeReader({ firstName: 'Ada', customAttributes: { [points]: '12345678901234567890.50' } });
    const other = await makeReader();
    const { texts } = await mailTo([ada, other], {
      body: `Hello {{ user.firstName | default: "friend" }}: {{ user.customAttributes["${points}"] | default: 0 }}, {{ user.externalUserId }}`,
    });
    expect(texts).toEqual({
      [ada.email]: `Hello Ada: 12345678901234567890.5, ${ada.externalUserId}`,
      [other.email]: `Hello friend: 0, ${other.externalUserId}`,
    });
  });

  test('from the installation that a push goes to, and from the data of the send', async () => {
    const person = await makePerson(g.server);
    const send = toSend(
      { users: [{ id: person.id }] },
      {
        channels: ['PUSH'],
        content: { body: '{{ installation.platform }} {{ data.order.id }}', data: { order: '{{ data.order.id }}' } },
        data: { order: { id: 17 } },
      },
    );
    const notification = await makeNotification(g.server, send);
    await g.startWorker();
    await settledDeliveries(g.server, notification);
    expect(await listRendered(g.server, notification)).toMatchObject([
      { rendered: { body: 'ANDROID 17', data: { order: '17' } } },
    ]);
  });

  test('as text everywhere: escaped in the HTML of an e-mail, and nowhere else', async () => {
    const reader = await makeReader({ firstName: '<b>Ada & "Co"</b>' });
    const { texts, html } = await mailTo([reader], { body: 'Hello {{ user.firstName }}' });
    expect(texts[reader.email]).toBe('Hello <b>Ada & "Co"</b>');
    expect(html[0]).toContain('Hello &lt;b&gt;Ada &amp; &quot;Co&quot;&lt;/b&gt;');
    expect(html[0]).not.toContain('<b>');
  });

  test('of a broadcast for who has the installation now, never for who had it', async () => {
    const person = await makePerson(g.server);
    await setAttributes(g.server, person.id, { firstName: 'Ada' });
    const { pushRegistrationId } = person.installation;
    const content = { body: 'Hello {{ user.firstName | default: "friend" }}' };
    const notification = await makeNotification(g.server, toSend({ installations: [pushRegistrationId] }, { content }));
    await depersonalize(g.server, pushRegistrationId);
    await g.startWorker();
    await settledDeliveries(g.server, notification);
    expect(await listRendered(g.server, notification)).toMatchObject([{ rendered: { body: 'Hello friend' } }]);
  });

  test('for the survivor of a merge, also in the inbox that stays with the tombstone', async () => {
    const [survivor, merged] = [await makeReader({ firstName: 'Ada' }), await makeReader()];
    const content = { body: 'Hello {{ user.firstName | default: "friend" }}' };
    const send = toSend({ users: [{ id: merged.id }] }, { content, channels: ['IN_APP', 'PUSH'] });
    const notification = await makeNotification(g.server, send);
    await mergeUsers(g.server, { survivor: survivor.id, merged: merged.id });
    await g.startWorker();
    await settledDeliveries(g.server, notification);
    const said = (await listRendered(g.server, notification)).map(({ rendered }) => Object(rendered).body);
    expect(new Set(said)).toEqual(new Set(['Hello Ada']));
  });

  test('and one that cannot be ends its own delivery as RENDER_FAILED, not the others of the batch', async () => {
    const good = await makeReader({ firstName: 'ada' });
    const bad = await makeReader({ firstName: 'javascript:alert(1)' });
    const content = {
      body: 'Hello',
      url: '{% if user.firstName == "ada" %}https://example.com{% else %}{{ user.firstName }}{% endif %}',
    };
    const { deliveries } = await mailTo([good, bad], content);
    const fates = deliveries.map(({ user, status, reason, providerCode }) => [user?.id, status, reason, providerCode]);
    expect(fates).toEqual(
      expect.arrayContaining([
        [good.id, 'SENT', null, null],
        [bad.id, 'FAILED', 'RENDER_FAILED', 'URL_INVALID'],
      ]),
    );
    expect(fates).toHaveLength(2);
  });

  test('also where what was accepted cannot be read any more', async () => {
    const reader = await makeReader();
    const notification = await makeNotification(
      g.server,
      toSend({ users: [{ id: reader.id }] }, { channels: ['EMAIL'] }),
    );
    await g.pool.query(`update notifications set content = content || '{"body": "{{ broken"}'`);
    await g.startWorker();
    const { deliveries } = await settledDeliveries(g.server, notification);
    expect(deliveries.nodes).toMatchObject([
      { status: 'FAILED', reason: 'RENDER_FAILED', providerCode: 'TEMPLATE_FAILED' },
    ]);
  });
});

test('while many deliveries take long to render, the worker has time for other things', async () => {
  const endless = '{% for a in user.tags %}'.repeat(6) + '{% endfor %}'.repeat(6);
  const tags = Array.from({ length: 20 }, (_, index) => `tag${index}`);
  const readers = [];
  for (let count = 0; count < 16; count += 1) readers.push(await makeReader({ tags }));
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const { deliveries } = await mailTo(readers, { body: `${endless}x` });
  delay.disable();
  expect(deliveries.map(({ providerCode }) => providerCode)).toEqual(Array(16).fill('TEMPLATE_LIMIT'));
  // Each takes a tenth of a second before it is given up.
  expect(delay.max / 1e6).toBeLessThan(1_000);
});

describe('variations: the first that fits is said instead (rule M4)', () => {
  test('by the language of the address, else of the user, else of the installation', async () => {
    const [german, austrian, french] = [
      await makeReader({ preferredLanguage: 'de' }),
      await makeReader({ preferredLanguage: 'de-AT' }),
      await makeReader({ preferredLanguage: 'fr' }),
    ];
    await g.pool.query(`update recipients set language = 'de-CH' where address = '${french.email}'`);
    const unknown = await makeReader();
    const content = {
      title: 'Title',
      body: 'Hello',
      variations: [
        { language: 'en', body: 'Hi' },
        { language: 'de', title: 'Titel', body: 'Hallo' },
        { language: 'de-AT', body: 'Servus' },
      ],
    };
    const { texts } = await mailTo([german, austrian, french, unknown], content);
    expect(texts).toEqual({
      [german.email]: 'Titel\n\nHallo',
      [austrian.email]: 'Title\n\nServus',
      [french.email]: 'Titel\n\nHallo',
      [unknown.email]: 'Title\n\nHello',
    });
    const installation = await makeInstallation(g.server, {
      language: 'de-DE',
      platform: 'ANDROID',
      address: { fcm: { token: crypto.randomUUID() } },
    });
    const notification = await makeNotification(g.server, toSend({ installations: [installation.id] }, { content }));
    await settledDeliveries(g.server, notification);
    expect(await listRendered(g.server, notification)).toMatchObject([{ rendered: { body: 'Hallo' } }]);
  });

  test('by the segment, static or dynamic, that the user is in when it is sent', async () => {
    const [member, outsider] = [await makeReader(), await makeReader()];
    const segment = await makeSegment(g.server, [member.id]);
    const { texts } = await mailTo([member, outsider], {
      body: 'All',
      variations: [{ segment, body: 'Some {{ user.type }}' }],
    });
    expect(texts).toEqual({ [member.email]: 'Some CUSTOMER', [outsider.email]: 'All' });
    const variationOf = async ({ id }: { id: string }) =>
      (await g.db.delivery.findFirst({ where: { userId: localIdOf(id) } }))?.variation;
    expect([await variationOf(member), await variationOf(outsider)]).toEqual([0, null]);
  });

  test('by what the user did: a segment, a label and a segment of a segment that ask for events', async () => {
    const name = `event-${crypto.randomUUID()}`;
    const [buyer, other] = [await makeReader(), await makeReader()];
    await track(g.server, { id: buyer.id }, name);
    const bought = await makeDynamicSegment(g.server, { event: { name } });
    const notBought = await makeDynamicSegment(g.server, { not: { inSegment: bought } });
    const label = `label-${crypto.randomUUID()}`;
    await saveLabel(g.server, {
      name: label,
      cases: [{ filter: { noEvent: { name, within: { days: 1 } } }, value: 'buy' }],
      defaultValue: 'thanks',
    });
    const content = {
      body: 'All',
      variations: [
        { segment: bought, body: `Bought: {{ label["${label}"] }}` },
        { segment: notBought, body: `Not yet: {{ label["${label}"] }}` },
      ],
    };
    const { texts } = await mailTo([buyer, other], content);
    expect(texts).toEqual({ [buyer.email]: 'Bought: thanks', [other.email]: 'Not yet: buy' });
    expect(await previewNotification(g.server, { content, user: { id: buyer.id }, channels: ['EMAIL'] })).toMatchObject(
      { messages: [{ rendered: { text: 'Bought: thanks' } }] },
    );
  });

  test('that names a segment that there is not is refused', async () => {
    const content = {
      body: 'a',
      variations: [
        { language: 'de', body: 'b' },
        { segment: crypto.randomUUID(), body: 'c' },
      ],
    };
    const user = await makeReader();
    expect(await sendNotification(g.server, toSend({ users: [{ id: user.id }] }, { content }))).toMatchObject({
      code: 'NOT_FOUND',
      path: ['content', 'variations', '1', 'segment'],
    });
  });
});

describe('buttons', () => {
  test('go to as many as the client shows, and into an e-mail as links', async () => {
    const person = await makePerson(g.server, { emails: [newEmail()] });
    const buttons = ['a', 'b', 'c', 'd'].map((label) => ({ label, url: `https://example.com/${label}` }));
    const content = { body: 'Hello', buttons };
    const send = toSend({ users: [{ id: person.id }] }, { content, channels: ['PUSH', 'EMAIL'] });
    const sent = await sendWithWarnings(g.server, send);
    if (sent?.__typename !== 'SendNotificationPayload' || !sent.notification) throw new Error('It was refused.');
    expect(sent.warnings).toContainEqual(
      expect.objectContaining({ platform: 'ANDROID', field: 'buttons', effect: 'CUT' }),
    );
    await g.startWorker();
    await settledDeliveries(g.server, sent.notification.id);
    const rendered = new Map(
      (await listRendered(g.server, sent.notification.id)).map((each) => [each.channel, Object(each.rendered)]),
    );
    expect(rendered.get('PUSH')?.buttons).toEqual([
      { label: 'a', action: 'button-1', url: 'https://example.com/a' },
      { label: 'b', action: 'button-2', url: 'https://example.com/b' },
      { label: 'c', action: 'button-3', url: 'https://example.com/c' },
    ]);
    expect(rendered.get('EMAIL')?.html).toContain('<a href="https://example.com/d">d</a>');
  });
});

describe('a send by template', () => {
  test('says what the template says at the call, by its name or id; a later change changes nothing', async () => {
    const reader = await makeReader({ firstName: 'Ada' });
    const name = crypto.randomUUID();
    const made = await createTemplate(g.server, name, { body: 'Hello {{ user.firstName }}' });
    if (made?.__typename !== 'CreateTemplatePayload') throw new Error('It was refused.');
    const target = { users: [{ id: reader.id }] };
    const sends: SendNotificationInput[] = [name, made.template.id].map((template) => ({
      target,
      channels: ['EMAIL'],
      template,
    }));
    const notifications = [];
    for (const send of sends) notifications.push(await makeNotification(g.server, send));
    await updateTemplate(g.server, { template: name, content: { body: 'Changed' } });
    await g.startWorker();
    for (const notification of notifications) {
      await settledDeliveries(g.server, notification);
      expect(await listRendered(g.server, notification)).toMatchObject([{ rendered: { text: 'Hello Ada' } }]);
    }
  });

  test.each([
    ['both a template and content', { template: 'a', content: { body: 'b' } }, 'VALUE_INVALID', ['template']],
    ['neither', {}, 'VALUE_INVALID', ['content']],
    ['a template that there is not', { template: 'nothing of that name' }, 'NOT_FOUND', ['template']],
    ['content that cannot be read', { content: { body: '{{ user.' } }, 'VALUE_INVALID', ['content', 'body']],
    [
      'a label that there is not',
      { content: { body: 'x', title: '{{ label.none }}' } },
      'VALUE_INVALID',
      ['content', 'title'],
    ],
  ])('with %s is refused, and nothing is written', async (_, said, code, path) => {
    const before = await g.db.notification.count();
    const target = { users: [{ externalUserId: 'anybody' }] };
    expect(await sendNotification(g.server, { target, ...said })).toMatchObject({ code, path });
    expect(await g.db.notification.count()).toBe(before);
  });

  test.each<[string, Rest]>([
    ['data', { data: { n: 9_999 } }],
    ['event', { event: { name: 'purchase', properties: { n: 9_999 } } }],
  ])('that comes to no end with the %s of the send is refused at the call, as content is', async (from, given) => {
    const name = crypto.randomUUID();
    const loop = `{% for i in (1..${from}.n) %}{% for j in (1..${from}.n) %}{% endfor %}{% endfor %}x`;
    const content = { body: 'x', variations: [{ language: 'de', body: loop }] };
    await createTemplate(g.server, name, content);
    const target = { users: [{ externalUserId: 'anybody' }] };
    const at = ['variations', '0'];
    const refused = { code: 'LIMIT_EXCEEDED' };
    expect(await sendNotification(g.server, { target, template: name, ...given })).toMatchObject({
      ...refused,
      path: ['template', ...at],
    });
    expect(await sendNotification(g.server, { target, content, ...given })).toMatchObject({
      ...refused,
      path: ['content', ...at],
    });
  });

  test('is the same send again under its idempotency key, with the same warnings, though the template has changed', async () => {
    const name = crypto.randomUUID();
    await createTemplate(g.server, name, { body: 'Hello', subtitle: 'x' });
    const send = { target: { users: [{ externalUserId: 'anybody' }] }, template: name, idempotencyKey: name };
    const first = await sendWithWarnings(g.server, send);
    await updateTemplate(g.server, { template: name, content: { body: 'Changed' } });
    const second = await sendWithWarnings(g.server, send);
    expect(second).toEqual(first);
    expect(first).toMatchObject({ warnings: expect.arrayContaining([expect.objectContaining({ field: 'subtitle' })]) });
  });
});

test.each<[string, NotificationTargetInput, string[]]>([
  [
    'who names no channel, is told nothing of WhatsApp',
    { users: [{ externalUserId: 'anybody' }] },
    ['EMAIL', 'PUSH', 'SMS'],
  ],
  ['who names installations, of pushes only', { installations: [crypto.randomUUID()] }, ['PUSH']],
])('warnings are of the channels by which it goes: %s', async (_, target, channels) => {
  const sent = await sendWithWarnings(g.server, toSend(target, { content: { body: 'Hello', subtitle: 'x' } }));
  if (sent?.__typename !== 'SendNotificationPayload') throw new Error('It was refused.');
  expect([...new Set(sent.warnings.map(({ channel }) => channel))].sort()).toEqual(channels);
});

test('an SMS says it too', async () => {
  const person = await makePerson(g.server, { phones: [newPhone()] });
  await setAttributes(g.server, person.id, { firstName: 'Ada' });
  const content = { body: 'Hello {{ user.firstName }}' };
  const notification = await makeNotification(
    g.server,
    toSend({ users: [{ id: person.id }] }, { content, channels: ['SMS'] }),
  );
  await g.startWorker();
  await settledDeliveries(g.server, notification);
  expect(await listRendered(g.server, notification)).toMatchObject([{ rendered: { text: 'Hello Ada' } }]);
});
