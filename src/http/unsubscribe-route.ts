import type { IncomingMessage, ServerResponse } from 'node:http';
import { readUnsubscribeToken, type UnsubscribeLink } from '../deliveries/signed-links.ts';
import type { Deployment } from '../deployment.ts';
import type { Throttle } from '../door/throttle/throttle.ts';
import { sayConsent, sayConsentOfAddress, sayTopicDeclined } from '../receipts/say-consent.ts';
import { findTopicName } from '../topics/preference-store.ts';
import { sendPage } from './page.ts';
import { readBytes, unreadableStatusOf } from './read-body.ts';
import { type HttpRoute, restOfPath } from './route.ts';

const prefix = '/unsubscribe/';

/** `List-Unsubscribe=One-Click`, or what a button of the page says. @default 16_384 // bytes */
const bodyBytesMax = 16_384;

/** From one address prefix; mail providers send the clicks of many. @default 5_000 at once, 100 a second */
const budget = { limit: 5_000, drainPerSecond: 100 } as const;

const by = 'person:unsubscribe';
const optedOut = { title: 'You are unsubscribed', text: 'We will send no more messages to this address.' };
const tooOld = {
  title: 'This link is too old',
  text: 'We no longer have the address as it was when you got this link. If messages still come, open the link in the latest one.',
};
/** What the button says that asks for more than the topic. */
const everything = { label: 'Unsubscribe from everything', choice: 'everything', isMain: false };

/**
 * Answers `/unsubscribe/<signed>`, where a person wants no more of the messages of which one brought the link: of those about its topic,
 * by that channel, or, if it was about none, or that is gone, of all to that address, whoever has it now; if nobody has, that is
 * remembered. GET, which mail scanners follow too, shows a page with a button for the topic and one for all, and changes nothing; POST
 * does it at once, from that page or from the mail program's own button, without a cookie, a redirect, or another question: RFC 8058,
 * where the link names the recipient and the list, which is the topic (section 3.1).
 */
export function createUnsubscribeRoute(deployment: Deployment, throttle: Throttle): HttpRoute {
  async function unsubscribe(request: IncomingMessage, response: ServerResponse, link: UnsubscribeLink) {
    let body: Buffer;
    try {
      body = await readBytes(request, bodyBytesMax);
    } catch (error) {
      const status = unreadableStatusOf(error);
      if (status === null) throw error;
      return sendPage(response, status, { title: 'That was too much', text: 'Open the link in the message again.' });
    }
    const { recipientId, email, topicId } = link;
    const isOfAll = new URLSearchParams(body.toString('utf8')).get('choice') === everything.choice;
    const topic = topicId === null || isOfAll ? null : await findTopicName(deployment.db, topicId);
    if (topicId !== null && topic !== null) {
      const isDeclined = await sayTopicDeclined(deployment, { recipientId, email, topicId, by });
      if (isDeclined) {
        return sendPage(response, 200, {
          title: 'You are unsubscribed',
          text: `We will send no more e-mails about “${topic}” to you.`,
          buttons: [everything],
        });
      }
    }
    sendPage(response, 200, (await optOut({ recipientId, email })) ? optedOut : tooOld);
  }

  /** @returns whether anything was done: an older link does not say whom to opt out when its recipient is gone. */
  async function optOut({ recipientId, email }: Omit<UnsubscribeLink, 'topicId'>): Promise<boolean> {
    const said = { isSubscribed: false, by } as const;
    if (email === null) return sayConsent(deployment, { recipientId, ...said });
    await sayConsentOfAddress(deployment, { channel: 'EMAIL', address: email, ...said });
    return true;
  }

  async function ask(response: ServerResponse, { topicId }: UnsubscribeLink) {
    const topic = topicId === null ? null : await findTopicName(deployment.db, topicId);
    const text = 'We will send no more messages to the address at which you got this link.';
    if (topic === null) {
      return sendPage(response, 200, {
        title: 'Unsubscribe?',
        text,
        buttons: [{ ...everything, label: 'Unsubscribe', isMain: true }],
      });
    }
    sendPage(response, 200, {
      title: 'Unsubscribe?',
      text: `You can stop e-mails about “${topic}”, or all messages to the address at which you got this link.`,
      buttons: [{ label: `Unsubscribe from “${topic}”`, choice: 'topic', isMain: true }, everything],
    });
  }

  return {
    prefix,
    async answer(request, response, addressPrefix) {
      const link = readUnsubscribeToken(deployment.cipher, restOfPath(request, prefix));
      if (link === null) {
        return sendPage(response, 404, {
          title: 'This link does not work',
          text: 'It may have been cut off. Open the link in the message again, or copy all of it.',
        });
      }
      const { method } = request;
      if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
        response.setHeader('allow', 'GET, HEAD, POST');
        return sendPage(response, 405, { title: 'This is a page', text: 'Open it in a browser.' });
      }
      const bucket = await throttle.take({ ...budget, name: `unsubscribe ${addressPrefix()}` }, 1);
      if (bucket.isTaken) return method === 'POST' ? unsubscribe(request, response, link) : ask(response, link);
      response.setHeader('retry-after', String(Math.ceil(bucket.retryAfterMs / 1_000)));
      sendPage(response, 429, { title: 'Too many at once', text: 'Please try again in a moment.' });
    },
  };
}
