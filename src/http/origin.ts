import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AppsSettings } from '../door/app-settings.ts';

// Which pages may call (CORS, and what WebSockets have instead). Tokens travel in a header of the page's own making, never in
// a cookie, so that no request carries rights that its page was not given; that a page is on a list keeps others from trying.

/** How long, in seconds, a browser need not ask again. @default 600 // 10 minutes */
const preflightSeconds = '600';

/** Whether a page that this server has served itself asks, such as GraphiQL. */
export function isOwnOrigin({ headers: { origin, host } }: IncomingMessage): boolean {
  if (origin === undefined || !host) return false;
  return origin === `http://${host}` || origin === `https://${host}`;
}

/** Whether whatever asks is no page, a page of this server, or one of an origin that some app allows. */
export async function isAllowedOrigin(apps: AppsSettings, request: IncomingMessage): Promise<boolean> {
  const { origin } = request.headers;
  return origin === undefined || isOwnOrigin(request) || (await apps.isKnownOrigin(origin));
}

/** Lets a page of the request's origin read the answer. No credentials: nothing here is known by a cookie. */
export function allowOrigin({ headers: { origin } }: IncomingMessage, response: ServerResponse): void {
  if (origin === undefined) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', 'retry-after');
}

/** Answers what a browser asks before it lets a page call. */
export function answerPreflight(response: ServerResponse): void {
  response
    .writeHead(204, {
      vary: 'origin',
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization, content-type',
      'access-control-max-age': preflightSeconds,
    })
    .end();
}
