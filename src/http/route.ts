import type { IncomingMessage, ServerResponse } from 'node:http';

/** What is answered beside GraphQL, under one part of the address. */
export interface HttpRoute {
  /** How the path begins: `/receipts/`. */
  prefix: string;
  /** @param addressPrefix where it is asked from. */
  answer(request: IncomingMessage, response: ServerResponse, addressPrefix: () => string): Promise<void>;
}

/** What follows `prefix` in the path, without the query. */
export function restOfPath(request: Pick<IncomingMessage, 'url'>, prefix: string): string {
  const [path = ''] = (request.url ?? '').split('?');
  return path.slice(prefix.length);
}
