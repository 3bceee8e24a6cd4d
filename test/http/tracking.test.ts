import { describe, expect, test } from 'vitest';
import { createLinkMaker } from '../../src/deliveries/signed-links.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import type { SendNotificationInput } from '../generated/graphql.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { useApp } from '../support/app.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { receiptSettings, storyOf } from '../support/receipts.ts';
import { localIdOf, makePerson, toSend } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const g = useApp(receiptSettings);
const links = createLinkMaker(createCipher(receiptSettings.dataEncryptionKey), receiptSettings.publicUrl);
const target = 'https://shop.example/sale?a=1&b=ü#c';
const toLocal = (link: string) => link.replace(receiptSettings.publicUrl, g.url);

/** What was sent, as the outbox has it, and its delivery. */
async function sendAndRead(
  channel: 'EMAIL' | 'SMS' | 'PUSH',
  { displayName = null, ...rest }: Partial<SendNotificationInput> & { displayName?: string | null },
) {
  const person = await makePerson(g.server, { emails: [newEmail()], phones: [newPhone()] });
  await g.db.user.update({ where: { id: localIdOf(person.id) }, data: { displayName } });
  const content = { title: 'Sale', body: `See ${target}.`, url: target };
  const input = toSend({ users: [{ id: person.id }] }, { channels: [channel], content, ...rest });
  const [delivery] = (await settledDeliveries(g.server, await makeNotification(g.server, input))).deliveries.nodes;
  if (!delivery) throw new Error('There is no delivery.');
  const id = localIdOf(delivery.id);
  const { rendered } = await g.db.outboxMessage.findFirstOrThrow({ where: { deliveryId: id } });
  return { id, delivery: delivery.id, rendered: JSON.stringify(rendered), parts: Object(rendered) };
}

const visit = (link: string, init: RequestInit = {}) => fetch(toLocal(link), { redirect: 'manual', ...init });

describe('where nothing is asked for', () => {
  test('no link leads through us', async () => {
    for (const channel of ['EMAIL', 'SMS', 'PUSH'] as const) {
      const { rendered } = await sendAndRead(channel, {});
      expect(rendered).not.toContain(receiptSettings.publicUrl);
    }
  });
});

describe('a tracked link (rule M1)', () => {
  test.each(['EMAIL', 'SMS', 'PUSH'] as const)('of %s leads on to its target, and counts', async (channel) => {
    const sent = await sendAndRead(channel, { trackLinks: true });
    const link = links.click({ deliveryId: sent.id, target });
    expect(sent.rendered).toContain(link);
    const response = await visit(link);
    expect([response.status, response.headers.get('location')]).toEqual([302, new URL(target).href]);
    await until(async () => (await storyOf(g, sent)).status === 'CLICKED');
    expect((await storyOf(g, sent)).story).toEqual(['QUEUED', 'SENT', 'CLICKED']);
  });

  test('in the text of an SMS is tracked without the full stop behind it', async () => {
    const sent = await sendAndRead('SMS', { trackLinks: true, content: { body: `See ${target}.` } });
    expect(sent.parts.text).toBe(`See ${links.click({ deliveryId: sent.id, target })}.`);
  });

  test('leads to no place of a user’s: what a name says stays as it is', async () => {
    const evil = 'https://evil.example/x';
    const content = { body: `{{ user.displayName }} ${target}`, url: '{{ user.displayName }}' };
    const sent = await sendAndRead('SMS', { trackLinks: true, content, displayName: evil });
    expect(sent.parts.text).toContain(`${evil} ${links.click({ deliveryId: sent.id, target })}`);
    expect(sent.rendered).not.toContain(links.click({ deliveryId: sent.id, target: evil }));
  });

  test('counts no program: HEAD, a prefetch, a preview, a scanner; and leads on all the same', async () => {
    const sent = await sendAndRead('EMAIL', { trackLinks: true, trackOpens: true });
    const link = links.click({ deliveryId: sent.id, target });
    const programs: RequestInit[] = [
      { method: 'HEAD' },
      { headers: { purpose: 'prefetch' } },
      { headers: { 'sec-purpose': 'prefetch;prerender' } },
      { headers: { 'user-agent': 'Slackbot-LinkExpanding 1.0' } },
      { headers: { 'user-agent': 'WhatsApp/2.23' } },
    ];
    for (const init of programs) expect((await visit(link, init)).status).toBe(302);
    // A click that counts comes after all of them.
    await visit(links.open(sent.id));
    await until(async () => (await storyOf(g, sent)).story.length === 3);
    expect((await storyOf(g, sent)).story).toEqual(['QUEUED', 'SENT', 'OPENED']);
  });

  test('leads nowhere else than it was signed for: there is no open redirect', async () => {
    const sent = await sendAndRead('EMAIL', { trackLinks: true });
    const link = links.click({ deliveryId: sent.id, target });
    const token = Buffer.from(link.split('/l/')[1] ?? '', 'base64url');
    const elsewhere = Buffer.concat([token.subarray(0, 32), Buffer.from('https://evil.example')]).toString('base64url');
    for (const path of [`/l/${elsewhere}`, '/l/', `/l/https://evil.example`, `/l/${'A'.repeat(9_000)}`]) {
      const response = await visit(`${receiptSettings.publicUrl}${path}`);
      expect([response.status, response.headers.get('location')]).toEqual([404, null]);
    }
    expect((await visit(link, { method: 'POST' })).status).toBe(405);
    expect((await storyOf(g, sent)).status).toBe('SENT');
  });
});

describe('an e-mail that tells of its opening', () => {
  test('holds an image of one pixel, which counts', async () => {
    const sent = await sendAndRead('EMAIL', { trackOpens: true });
    expect(sent.parts.html).toContain(`<img src="${links.open(sent.id)}" alt="" width="1" height="1">`);
    const response = await visit(links.open(sent.id));
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/gif']);
    expect(Buffer.from(await response.arrayBuffer()).toString('latin1')).toMatch(/^GIF89a/);
    await until(async () => (await storyOf(g, sent)).status === 'OPENED');
  });

  test('holds none that is made up', async () => {
    expect((await visit(`${receiptSettings.publicUrl}/o/AAAA.gif`)).status).toBe(404);
  });
});
