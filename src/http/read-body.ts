import type { Readable } from 'node:stream';
import { GraphQLError } from 'graphql';
import { refuseRequest } from './request-form.ts';

/** What is too long is read on up to so many times its limit and forgotten, since who is cut off while writing does not read why. */
const patience = 16;

/**
 * A request's body as text, chunked or not.
 *
 * @throws GraphQLError `BAD_USER_INPUT` when it has more than `bytesMax` bytes (HTTP 413), or breaks off (400).
 */
export function readBody(body: Readable, bytesMax: number): Promise<string> {
  return read(body, bytesMax, (bytes) => bytes.toString('utf8'));
}

/** As `readBody`, as bytes. */
export function readBytes(body: Readable, bytesMax: number): Promise<Buffer> {
  return read(body, bytesMax, (bytes) => bytes);
}

/** By events: an iterator over it costs as much as a small operation's execution. */
function read<T>(body: Readable, bytesMax: number, toResult: (bytes: Buffer) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let byteCount = 0;
    const refuse = () => reject(refuseRequest(413, `The body must have at most ${bytesMax} bytes.`));
    body.on('data', (chunk: Buffer) => {
      byteCount += chunk.byteLength;
      if (byteCount <= bytesMax) chunks.push(chunk);
      if (byteCount > bytesMax * patience) {
        body.destroy();
        refuse();
      }
    });
    body.once('end', () => {
      if (byteCount > bytesMax) return refuse();
      const [only] = chunks;
      resolve(toResult(chunks.length === 1 && only ? only : Buffer.concat(chunks)));
    });
    // Who sent it has gone: no failure of ours, which would be in the log.
    const breakOff = () => reject(refuseRequest(400, 'The body was not sent whole.'));
    body.once('error', breakOff);
    body.once('close', () => {
      if (!body.readableEnded) breakOff();
    });
  });
}

/** The status of HTTP for what `readBody` and `readBytes` throw. Null: that is not what was thrown. */
export function unreadableStatusOf(error: unknown): number | null {
  const http = error instanceof GraphQLError ? Object(error.extensions.http) : {};
  return typeof http.status === 'number' ? http.status : null;
}
