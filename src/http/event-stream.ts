import type { ServerResponse } from 'node:http';
import type { ExecutionResult } from 'graphql';
import { formatError } from '../door/mask-error.ts';
import type { Subscribed } from '../door/subscribe.ts';

/** How often a silent stream says that it is there: proxies cut what is silent for long. @default 12_000 // 12 seconds */
const pingMs = 12_000;

/**
 * Writes results as server-sent events, as the "distinct connections mode" of GraphQL over SSE has them: `next` with each, and
 * `complete` after the last. Takes the next one only when the one before has left this process. Resolves when the last
 * was written, or nobody listens any more.
 */
export async function streamResults(response: ServerResponse, results: Subscribed): Promise<void> {
  // By setHeader, so that a server which stops knows a stream when it sees one.
  response.setHeader('content-type', 'text/event-stream');
  response.setHeader('cache-control', 'no-store');
  response.setHeader('vary', 'origin');
  const closed = new Promise<void>((resolve) => response.once('close', resolve));
  const stop = closed.then(() => results.return());
  // Something at once, since some browsers wait for it.
  response.write(':\n\n');
  const ping = setInterval(() => {
    if (isOpen(response) && !response.writableNeedDrain) response.write(':\n\n');
  }, pingMs).unref();
  try {
    for await (const result of results) {
      if (!isOpen(response)) break;
      const hasRoom = response.write(`event: next\ndata: ${toJson(result)}\n\n`);
      if (!hasRoom) await Promise.race([new Promise<void>((resolve) => response.once('drain', resolve)), closed]);
    }
    if (isOpen(response)) response.end('event: complete\ndata:\n\n');
  } finally {
    clearInterval(ping);
  }
  await stop;
}

/** A single result as a stream: of an operation that was asked for as one, but has one answer. */
export async function* once(result: ExecutionResult): Subscribed {
  yield result;
}

function isOpen(response: ServerResponse): boolean {
  return !response.destroyed && !response.writableEnded;
}

function toJson({ errors, ...rest }: ExecutionResult): string {
  return JSON.stringify(errors ? { errors: errors.map(formatError), ...rest } : rest);
}
