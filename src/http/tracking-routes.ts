import type { IncomingMessage, ServerResponse } from 'node:http';
import { readClickToken, readOpenToken } from '../deliveries/signed-links.ts';
import type { Deployment } from '../deployment.ts';
import type { Throttle } from '../door/throttle/throttle.ts';
import type { ReceiptIntake } from '../receipts/receipt-intake.ts';
import { sendPage } from './page.ts';
import { type HttpRoute, restOfPath } from './route.ts';

/** From one address prefix; beyond it a link still leads on, and is not counted. @default 500 at once, 20 a second */
const budget = { limit: 500, drainPerSecond: 20 } as const;

/** A transparent pixel. */
const pixel = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

interface Tracking {
  deployment: Pick<Deployment, 'cipher' | 'log'>;
  intake: ReceiptIntake;
  throttle: Throttle;
}

/**
 * Answers `/l/<signed>`, which leads on to where the signature says, and `/o/<signed>.gif`, an image of one pixel. Both count, as
 * CLICKED and OPENED, unless no person asks: HEAD, a prefetch, or a program that says that it is one. The answer waits for nothing.
 */
export function createTrackingRoutes({ deployment, intake, throttle }: Tracking): HttpRoute[] {
  const { cipher, log } = deployment;

  async function count(deliveryId: string, receipt: 'CLICKED' | 'OPENED', addressPrefix: string): Promise<void> {
    try {
      const bucket = await throttle.take({ ...budget, name: `links ${addressPrefix}` }, 1);
      if (!bucket.isTaken) return;
      const told = { receipt, reason: null, providerCode: null, at: null, isAddressGone: false } as const;
      await intake.take([{ about: { deliveryId }, via: 'link', ...told }]);
    } catch (err) {
      log.warn({ err, deliveryId }, 'A click or an open could not be recorded.');
    }
  }

  return [
    {
      prefix: '/l/',
      async answer(request, response, addressPrefix) {
        const link = readClickToken(cipher, restOfPath(request, '/l/'));
        if (!link) return refuse(response);
        if (!isRead(request)) return refuseMethod(response);
        response.writeHead(302, { ...uncached, location: new URL(link.target).href }).end();
        if (isPerson(request)) await count(link.deliveryId, 'CLICKED', addressPrefix());
      },
    },
    {
      prefix: '/o/',
      async answer(request, response, addressPrefix) {
        const deliveryId = readOpenToken(cipher, restOfPath(request, '/o/').replace(/\.gif$/, ''));
        if (deliveryId === null) return refuse(response);
        if (!isRead(request)) return refuseMethod(response);
        response.writeHead(200, { ...uncached, 'content-type': 'image/gif' }).end(pixel);
        if (isPerson(request)) await count(deliveryId, 'OPENED', addressPrefix());
      },
    },
  ];
}

const uncached = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
};

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Programs that fetch what is in a message, and say so. */
const programs =
  /bot\b|crawl|spider|preview|externalhit|scanner|curl|wget|python|slack|discord|^whatsapp|telegram|skypeuri|proofpoint|barracuda|mimecast/i;

function isPerson({ method, headers }: IncomingMessage): boolean {
  const purpose = `${headers.purpose ?? ''} ${headers['sec-purpose'] ?? ''} ${headers['x-moz'] ?? ''}`;
  return (
    method === 'GET' && !/prefetch|prerender|preview/i.test(purpose) && !programs.test(headers['user-agent'] ?? '')
  );
}

function refuse(response: ServerResponse): void {
  sendPage(response, 404, {
    title: 'This link does not work',
    text: 'It may have been cut off. Open the link in the message again, or copy all of it.',
  });
}

function refuseMethod(response: ServerResponse): void {
  response.writeHead(405, { allow: 'GET, HEAD' }).end();
}
