import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Throttle } from '../door/throttle/throttle.ts';
import type { ReceiptDesk } from '../receipts/receipt-desk.ts';
import { receiptChannels } from '../receipts/told.ts';
import { readBytes, unreadableStatusOf } from './read-body.ts';
import { type HttpRoute, restOfPath } from './route.ts';

const prefix = '/receipts/';

/** The largest batch of Infobip's, 2,000 reports, has some 1.4 MB. @default 4_194_304 // 4 MiB */
const bodyBytesMax = 4_194_304;

/** Calls from one address prefix that are nobody's. @default 500 at once, 10 a second */
const guessBudget = { limit: 500, drainPerSecond: 10 } as const;

/**
 * Answers `POST /receipts/<channel>`, as soon as what was told is recorded:
 *
 * | Status | When |
 * |---|---|
 * | 204 | it is recorded; also when it names no delivery that is known |
 * | 400 | it is in no documented form |
 * | 401 | it is not from the provider |
 * | 404, 405, 413 | there is no such channel; use POST; more than 4 MiB |
 * | 429 | too many came from this network that were not from the provider |
 * | 500 | it could not be recorded: call again |
 */
export function createReceiptsRoute({ desk, throttle }: { desk: ReceiptDesk; throttle: Throttle }): HttpRoute {
  async function answer(request: IncomingMessage, response: ServerResponse, addressPrefix: () => string) {
    const channel = receiptChannels.find((known) => known === restOfPath(request, prefix));
    if (!channel) return end(response, 404);
    if (request.method !== 'POST') return end(response, 405, { allow: 'POST' });
    // Who guesses is slowed down: a look is paid for, and given back to whoever turns out to be the provider.
    const budget = { ...guessBudget, name: `receipts ${addressPrefix()}` };
    const bucket = await throttle.take(budget, 1);
    if (!bucket.isTaken) {
      return end(response, 429, { 'retry-after': String(Math.ceil(bucket.retryAfterMs / 1_000)) });
    }
    const body = await readBytes(request, bodyBytesMax);
    const call = { channel, headers: request.headers, path: request.url ?? '', body };
    if (!(await desk.isAuthentic(call))) return end(response, 401, { 'www-authenticate': 'Basic realm="receipts"' });
    throttle.giveBack(budget, 1);
    return end(response, (await desk.take(call)) === 'TAKEN' ? 204 : 400);
  }

  return {
    prefix,
    async answer(request, response, addressPrefix) {
      try {
        await answer(request, response, addressPrefix);
      } catch (error) {
        const status = unreadableStatusOf(error);
        if (status === null) throw error;
        end(response, status);
      }
    },
  };
}

function end(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'cache-control': 'no-store', ...headers }).end();
}
