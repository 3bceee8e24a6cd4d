import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createLinkMaker, readClickToken, readUnsubscribeToken } from '../../src/deliveries/signed-links.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { useApp } from '../support/app.ts';
import { type FakeSmtp, startFakeSmtp } from '../support/fakes/fake-smtp.ts';
import { makeNotification, settledDeliveries } from '../support/operations.ts';
import { makeSent, receiptSettings, storyOf } from '../support/receipts.ts';
import { removeRecipient, updateRecipient } from '../support/recipients.ts';
import { globalIdOf, localIdOf, makePerson, mergeUsers, toSend } from '../support/send-operations.ts';
import { deleteTopic, makeTopic, wordsOn } from '../support/topics.ts';

const server: FakeSmtp = await startFakeSmtp();
const g = useApp({ ...receiptSettings, smtp: { url: server.url, from: 'Carillon <carillon@example.com>' } });

const cipher = createCipher(receiptSettings.dataEncryptionKey);

/** The mail that a person gets. */
async function mailOf(purpose: 'MARKETING' | 'TRANSACTIONAL', topic: string | null = null) {
  const person = await makePerson(g.server, { emails: [`${crypto.randomUUID()}@example.com`] });
  const before = server.mails.length;
  await makeNotification(g.server, toSend({ users: [{ id: person.id }] }, { channels: ['EMAIL'], purpose, topic }));
  const mail = (await server.received(before + 1))[before];
  if (!mail) throw new Error('No mail came.');
  return mail;
}

/** Where this program answers what a link in a message names. */
const toLocal = (link: string) => link.replace(receiptSettings.publicUrl, g.url);
const linkOf = (recipient: string, topicId: string | null = null, email: string | null = null) =>
  toLocal(
    createLinkMaker(cipher, receiptSettings.publicUrl).unsubscribe({
      recipientId: localIdOf(recipient),
      email,
      topicId,
    }),
  );

/** The link in a mail, as a mail program reads it. */
const linkIn = (mail: Awaited<ReturnType<typeof mailOf>>) =>
  toLocal(/^<(https:.*)>$/.exec(mail.headers.get('list-unsubscribe')?.[0] ?? '')?.[1] ?? '');

/** As a mail program does it (RFC 8058, section 3.2). */
const oneClick = (link: string) =>
  fetch(link, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'List-Unsubscribe=One-Click',
  });

describe('an e-mail for MARKETING', () => {
  test('says how to unsubscribe by one click (RFC 8058), and that works', async () => {
    const mail = await mailOf('MARKETING');
    expect(mail.headers.get('list-unsubscribe-post')).toEqual(['List-Unsubscribe=One-Click']);
    const [, link = ''] = /^<(https:.*)>$/.exec(mail.headers.get('list-unsubscribe')?.[0] ?? '') ?? [];
    expect(link).toContain(`${receiptSettings.publicUrl}/unsubscribe/`);
    expect(mail.text).toContain(`Unsubscribe: ${link}`);
    expect(mail.html).toContain(`<a href="${link}">Unsubscribe</a>`);
    expect((await oneClick(toLocal(link))).status).toBe(200);
    expect(await g.db.recipient.findFirst({ where: { address: mail.to[0] ?? '' } })).toMatchObject({
      isSubscribed: false,
      consentBy: 'person:unsubscribe',
    });
  });

  test('about a topic takes the person off that topic by one click, by e-mail only, and off nothing else (rule M8)', async () => {
    const [topic, other] = [await makeTopic(g.server), await makeTopic(g.server)];
    const mail = await mailOf('MARKETING', topic);
    const [, link = ''] = /^<(https:.*)>$/.exec(mail.headers.get('list-unsubscribe')?.[0] ?? '') ?? [];
    expect((await oneClick(toLocal(link))).status).toBe(200);
    const email = mail.to[0] ?? '';
    expect(await wordsOn(g.server, { email }, topic)).toEqual(['EMAIL no']);
    expect(await wordsOn(g.server, { email }, other)).toEqual([]);
    expect(await g.db.recipient.findFirst({ where: { address: email } })).toMatchObject({
      isSubscribed: true,
      consentBy: null,
    });
    const endsOf = async (about: string) => {
      const send = toSend({ users: [{ email }] }, { channels: ['EMAIL', 'IN_APP'], topic: about });
      const { deliveries } = await settledDeliveries(g.server, await makeNotification(g.server, send));
      return deliveries.nodes.map(({ channel, reason }) => `${channel} ${reason}`).sort();
    };
    expect(await endsOf(topic)).toEqual(['EMAIL TOPIC_OPTED_OUT', 'IN_APP null']);
    expect(await endsOf(other)).toEqual(['EMAIL null', 'IN_APP null']);
  });

  describe('whose address was taken away since', () => {
    /** A mail whose recipient is no more. */
    async function mailOfGone(topic: string | null = null) {
      const mail = await mailOf('MARKETING', topic);
      const email = mail.to[0] ?? '';
      const recipient = await g.db.recipient.findFirstOrThrow({ where: { address: email } });
      const removed = await removeRecipient(g.server, globalIdOf('EmailRecipient', recipient.id));
      expect(removed).toMatchObject({ __typename: 'RemoveRecipientPayload' });
      return { link: linkIn(mail), email };
    }
    const endOf = async (email: string, topic: string | null = null) => {
      const send = toSend({ users: [{ email }] }, { channels: ['EMAIL'], purpose: 'MARKETING', topic });
      const { deliveries } = await settledDeliveries(g.server, await makeNotification(g.server, send));
      return deliveries.nodes.map(({ status, reason }) => `${status} ${reason}`);
    };

    test('and added again is opted out by its link all the same', async () => {
      const { link, email } = await mailOfGone();
      await makePerson(g.server, { emails: [email] });
      expect(await (await oneClick(link)).text()).toContain('We will send no more messages to this address.');
      expect(await endOf(email)).toEqual(['DISCARDED OPTED_OUT']);
    });

    test('and added again to somebody takes them off the topic', async () => {
      const topic = await makeTopic(g.server);
      const { link, email } = await mailOfGone(topic);
      await makePerson(g.server, { emails: [email] });
      expect(await (await oneClick(link)).text()).toContain('We will send no more e-mails about');
      expect(await endOf(email, topic)).toEqual(['DISCARDED TOPIC_OPTED_OUT']);
      expect(await endOf(email)).toEqual(['SENT null']);
    });

    test.each([['of all'], ['of a topic']])('is remembered, by a link %s, for whoever brings it', async (kind) => {
      const topic = kind === 'of all' ? null : await makeTopic(g.server);
      const { link, email } = await mailOfGone(topic);
      expect(await (await oneClick(link)).text()).toContain('We will send no more messages to this address.');
      await makePerson(g.server, { emails: [email] });
      expect(await endOf(email)).toEqual(['DISCARDED OPTED_OUT']);
    });

    test('is not to be read in the link', async () => {
      const { link, email } = await mailOfGone();
      expect(Buffer.from(link.split('/').at(-1) ?? '', 'base64url').toString()).not.toContain(email);
    });
  });

  test('and no other says so', async () => {
    const mail = await mailOf('TRANSACTIONAL');
    expect(mail.headers.has('list-unsubscribe') || mail.headers.has('list-unsubscribe-post')).toBe(false);
    expect(mail.text + mail.html).not.toContain('nsubscribe');
  });
});

describe('the page to unsubscribe', () => {
  test('changes nothing when it is looked at, by GET or HEAD: scanners follow links too', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const page = await fetch(linkOf(sent.recipient));
    expect([page.status, page.headers.get('cache-control'), page.headers.get('x-robots-tag')]).toEqual([
      200,
      'no-store',
      'noindex',
    ]);
    await fetch(linkOf(sent.recipient), { method: 'HEAD' });
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true, consentBy: null });
  });

  test('is readable by everybody: a language, a title, the width of a phone, one button in a form, no script', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const page = await fetch(linkOf(sent.recipient));
    const html = await page.text();
    for (const part of [
      '<html lang="en">',
      '<meta name="viewport" content="width=device-width, initial-scale=1">',
      '<title>Unsubscribe?</title>',
      '<h1>Unsubscribe?</h1>',
      '<form method="post"><button type="submit" name="choice" value="everything" class="main">Unsubscribe</button></form>',
    ]) {
      expect(html).toContain(part);
    }
    expect(html).not.toMatch(/<script|<link|<img|https?:/);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(html).not.toContain(sent.email);
  });

  test('opts the address out at once when its button is pressed, as often as it is', async () => {
    const sent = await makeSent(g, 'EMAIL');
    for (let round = 0; round < 2; round += 1) {
      const done = await fetch(linkOf(sent.recipient), { method: 'POST' });
      expect([done.status, await done.text()]).toEqual([200, expect.stringContaining('You are unsubscribed')]);
    }
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: false, isReachable: false });
    // What the person says later counts.
    await updateRecipient(g.server, { recipient: sent.recipient, isSubscribed: true });
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true });
  });

  describe('for a message about a topic', () => {
    const choose = (link: string, choice: string) =>
      fetch(link, { method: 'POST', body: new URLSearchParams({ choice }) });

    test('offers to leave the topic, or everything, by buttons that say which', async () => {
      const sent = await makeSent(g, 'EMAIL');
      const topic = await makeTopic(g.server, { name: `News & <offers> ${crypto.randomUUID()}` });
      const html = await (await fetch(linkOf(sent.recipient, localIdOf(topic)))).text();
      expect(html).toMatch(
        /<button [^>]*value="topic" class="main">Unsubscribe from “News &amp; &lt;offers&gt; [^<]+”<\/button>/,
      );
      expect(html).toContain('value="everything">Unsubscribe from everything</button>');
      expect(await wordsOn(g.server, { id: sent.person.id }, topic)).toEqual([]);
    });

    test('leaves the topic, and then still offers everything', async () => {
      const sent = await makeSent(g, 'EMAIL');
      const topic = await makeTopic(g.server);
      const done = await choose(linkOf(sent.recipient, localIdOf(topic)), 'topic');
      expect(await done.text()).toContain('value="everything"');
      expect(await wordsOn(g.server, { id: sent.person.id }, topic)).toEqual(['EMAIL no']);
      expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true });
      await choose(linkOf(sent.recipient, localIdOf(topic)), 'everything');
      expect((await storyOf(g, sent)).recipient).toMatchObject({
        isSubscribed: false,
        consentBy: 'person:unsubscribe',
      });
    });

    test('leaves everything when the topic is gone: there is nothing less to leave', async () => {
      const sent = await makeSent(g, 'EMAIL');
      const topic = await makeTopic(g.server);
      await deleteTopic(g.server, topic);
      const link = linkOf(sent.recipient, localIdOf(topic));
      expect(await (await fetch(link)).text()).not.toContain('value="topic"');
      expect((await oneClick(link)).status).toBe(200);
      expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: false });
    });

    test('speaks for who has the address now, also after a merge, and says nothing of one that is gone', async () => {
      const [sent, survivor] = [await makeSent(g, 'EMAIL'), await makePerson(g.server)];
      const topic = await makeTopic(g.server);
      const link = linkOf(sent.recipient, localIdOf(topic));
      await mergeUsers(g.server, { survivor: survivor.id, merged: sent.person.id });
      await oneClick(link);
      expect(await wordsOn(g.server, { id: survivor.id }, topic)).toEqual(['EMAIL no']);
      await removeRecipient(g.server, sent.recipient);
      expect((await oneClick(link)).status).toBe(200);
    });
  });

  test('does not tell whether there is such an address any more', async () => {
    const [sent, gone] = [await makeSent(g, 'EMAIL'), await makeSent(g, 'EMAIL')];
    await removeRecipient(g.server, gone.recipient);
    const answers = [sent, gone].map(async ({ recipient, email }) => {
      const answer = await oneClick(linkOf(recipient, null, email));
      return [answer.status, await answer.text()];
    });
    const [ofSent, ofGone] = await Promise.all(answers);
    expect(ofSent).toEqual(ofGone);
    expect(ofSent).toEqual([200, expect.stringContaining('You are unsubscribed')]);
  });

  test('says nothing of having unsubscribed anybody when an older link, without the address, names one that is gone', async () => {
    const sent = await makeSent(g, 'EMAIL');
    await removeRecipient(g.server, sent.recipient);
    const topic = await makeTopic(g.server);
    for (const link of [linkOf(sent.recipient), linkOf(sent.recipient, localIdOf(topic))]) {
      const answer = await oneClick(link);
      expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('This link is too old')]);
    }
  });

  test('is not there for a link that is not ours, whole, and of this kind', async () => {
    const sent = await makeSent(g, 'EMAIL');
    const links = createLinkMaker(cipher, g.url);
    const own = linkOf(sent.recipient);
    const foreign = createLinkMaker(createCipher(randomBytes(32)), g.url);
    for (const link of [
      own.slice(0, -1),
      `${own}A`,
      `${g.url}/unsubscribe/`,
      `${g.url}/unsubscribe/${'A'.repeat(9_000)}`,
      foreign.unsubscribe({ recipientId: localIdOf(sent.recipient), email: null, topicId: null }),
      `${g.url}/unsubscribe/${own.split('/').at(-1)}${Buffer.from(crypto.randomUUID()).toString('base64url')}`,
      links.open(localIdOf(sent.recipient)).replace('/o/', '/unsubscribe/').replace('.gif', ''),
    ]) {
      expect((await oneClick(link)).status).toBe(404);
    }
    expect((await storyOf(g, sent)).recipient).toMatchObject({ isSubscribed: true });
    expect((await fetch(own, { method: 'PUT' })).status).toBe(405);
  });
});

test('a link of one kind is none of another', () => {
  const links = createLinkMaker(cipher, 'https://a.example');
  const id = crypto.randomUUID();
  const token = (link: string) => link.split('/').at(-1)?.replace('.gif', '') ?? '';
  for (const email of [null, 'ada.o’neil@example.com']) {
    for (const topicId of [null, crypto.randomUUID()]) {
      const link = { recipientId: id, email, topicId };
      expect(readUnsubscribeToken(cipher, token(links.unsubscribe(link)))).toEqual(link);
    }
  }
  expect(readUnsubscribeToken(cipher, token(links.open(id)))).toBe(null);
  expect(readClickToken(cipher, token(links.open(id)))).toBe(null);
  expect(readClickToken(cipher, token(links.click({ deliveryId: id, target: 'https://b.example/ü?c' })))).toEqual({
    deliveryId: id,
    target: 'https://b.example/ü?c',
  });
});
