import type { IncomingMessage, ServerResponse } from 'node:http';

/** How long, in seconds, a browser need not ask again. @default 86400 // 1 day */
const preflightSeconds = '86400';

/**
 * CORS: lets pages of every origin call, without credentials. Tokens travel in a header of the page's own making, never
 * in a cookie, so a page can do no more than whoever gave it the token.
 *
 * @returns whether the request was a preflight, which then is answered.
 */
export function allowEveryOrigin(request: IncomingMessage, response: ServerResponse): boolean {
  response.setHeader('access-control-allow-origin', '*');
  if (request.method !== 'OPTIONS') return false;
  response
    .writeHead(204, {
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization, content-type',
      'access-control-max-age': preflightSeconds,
    })
    .end();
  return true;
}
