import type { IncomingMessage, ServerResponse } from 'node:http';
import { readUnsubscribeToken } from '../deliveries/signed-links.ts';
import type { Deployment } from '../deployment.ts';
import type { Throttle } from '../door/throttle/throttle.ts';
import { sayConsent } from '../receipts/say-consent.ts';
import { sendPage } from './page.ts';
import { readBytes, unreadableStatusOf } from './read-body.ts';
import { type HttpRoute, restOfPath } from './route.ts';

const prefix = '/unsubscribe/';

/** `List-Unsubscribe=One-Click`, or a form without fields. @default 16_384 // bytes */
const bodyBytesMax = 16_384;

/** From one address prefix; mail providers send the clicks of many. @default 5_000 at once, 100 a second */
const budget = { limit: 5_000, drainPerSecond: 100 } as const;

/**
 * Answers `/unsubscribe/<signed>`, where a person opts the address out to which a message went. GET, which mail scanners follow
 * too, shows a page with a button and changes nothing; POST opts out at once, from that page or from the mail program's own
 * button (RFC 8058): without a cookie, a redirect, or another question.
 */
export function createUnsubscribeRoute(deployment: Deployment, throttle: Throttle): HttpRoute {
  async function unsubscribe(request: IncomingMessage, response: ServerResponse, recipientId: string) {
    try {
      await readBytes(request, bodyBytesMax);
    } catch (error) {
      const status = unreadableStatusOf(error);
      if (status === null) throw error;
      return sendPage(response, status, { title: 'That was too much', text: 'Open the link in the message again.' });
    }
    await sayConsent(deployment, { recipientId, isSubscribed: false, by: 'person:unsubscribe' });
    sendPage(response, 200, {
      title: 'You are unsubscribed',
      text: 'We will send no more messages to this address.',
    });
  }

  return {
    prefix,
    async answer(request, response, addressPrefix) {
      const recipientId = readUnsubscribeToken(deployment.cipher, restOfPath(request, prefix));
      if (recipientId === null) {
        return sendPage(response, 404, {
          title: 'This link does not work',
          text: 'It may have been cut off. Open the link in the message again, or copy all of it.',
        });
      }
      if (request.method === 'POST') {
        const bucket = await throttle.take({ ...budget, name: `unsubscribe ${addressPrefix()}` }, 1);
        if (bucket.isTaken) return unsubscribe(request, response, recipientId);
        response.setHeader('retry-after', String(Math.ceil(bucket.retryAfterMs / 1_000)));
        return sendPage(response, 429, { title: 'Too many at once', text: 'Please try again in a moment.' });
      }
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD, POST');
        return sendPage(response, 405, { title: 'This is a page', text: 'Open it in a browser.' });
      }
      sendPage(response, 200, {
        title: 'Unsubscribe?',
        text: 'We will send no more messages to the address at which you got this link.',
        button: 'Unsubscribe',
      });
    },
  };
}
