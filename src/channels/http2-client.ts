import http2, { type ClientHttp2Session, type ClientHttp2Stream, type SecureClientSessionOptions } from 'node:http2';
import { type HttpClient, type HttpReply, type HttpRequest, replyBytesMax, toHttpFailure } from './http-client.ts';

/** How a connection over HTTP/2 is kept. */
export interface Http2Options {
  /** Until a server speaks HTTP/2, and until it answers a ping. @default 10_000 // 10 seconds */
  timeoutMs?: number | undefined;
  /** How often a kept connection is asked whether it still lives. @default 60_000 // 1 minute */
  pingEveryMs?: number | undefined;
  /** Whom to trust, and how names are resolved. @default Node's own */
  tls?: Pick<SecureClientSessionOptions, 'ca' | 'lookup'> | undefined;
}

/**
 * Over one connection of HTTP/2 (RFC 9113), on which all requests run at once; `http:` is spoken to without TLS, by prior
 * knowledge. The connection is made at the first request, and anew when it is lost, when the server says that it goes away,
 * and when it no longer answers pings.
 */
export function createHttp2Client(origin: string, options: Http2Options = {}): HttpClient {
  const sessions = new Set<ClientHttp2Session>();
  let current: ClientHttp2Session | null = null;
  let isClosed = false;

  function currentSession(): ClientHttp2Session {
    // After a GOAWAY Node closes a session: what is under way may end on it, and nothing new is begun.
    if (current && !current.closed && !current.destroyed) return current;
    const session = openSession(origin, options);
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    current = session;
    return session;
  }

  function send(request: HttpRequest): Promise<HttpReply> {
    const session = currentSession();
    const reply = exchange(session, request);
    // The session of a late comer ends with its request.
    if (isClosed) session.close();
    return reply;
  }

  return {
    async post(request) {
      try {
        return await send(request);
      } catch (error) {
        if (!isUnprocessed(error)) throw error;
        return send(request);
      }
    },
    async close() {
      isClosed = true;
      for (const session of sessions) session.close();
    },
  };
}

function openSession(origin: string, { timeoutMs = 10_000, pingEveryMs = 60_000, tls }: Http2Options) {
  const session = http2.connect(origin, { ...tls });
  const giveUp = () => session.destroy(toHttpFailure('ETIMEDOUT', 'The server does not answer.'));
  const greeting = setTimeout(giveUp, timeoutMs);
  session.once('remoteSettings', () => clearTimeout(greeting));
  let pong: NodeJS.Timeout | undefined;
  const pinging = setInterval(() => {
    // One that is ending tells so by its close, which may come after this.
    if (pong || session.closed || session.destroyed) return;
    pong = setTimeout(giveUp, timeoutMs);
    session.ping((error) => {
      if (error) return;
      clearTimeout(pong);
      pong = undefined;
    });
  }, pingEveryMs);
  session.on('close', () => {
    for (const timer of [greeting, pinging, pong]) clearTimeout(timer);
  });
  // Each request is told by itself. A session without requests has nobody to tell.
  session.on('error', () => undefined);
  return session;
}

/**
 * Whether the server says that it has not looked at a request, which may then be sent again (RFC 9113, section 8.7): it
 * refused the stream, as one above those that its GOAWAY still takes is refused too.
 */
function isUnprocessed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === refusedStream;
}

const refusedStream = 'HTTP2_REFUSED_STREAM';

function exchange(session: ClientHttp2Session, { path, headers, body, signal }: HttpRequest): Promise<HttpReply> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpReply>();
  let stream: ClientHttp2Stream;
  try {
    stream = session.request({ ':method': 'POST', ':path': path, ...headers }, { signal });
  } catch {
    // A connection has a number for 2^30 requests (RFC 9113, section 5.1.1); the next one gets another connection.
    session.close();
    throw toHttpFailure(refusedStream, 'The connection takes no more requests.');
  }
  const chunks: Buffer[] = [];
  let bytesRead = 0;
  let head: Pick<HttpReply, 'status' | 'retryAfter'> | null = null;
  stream.on('response', (fields) => {
    head = { status: Number(fields[':status']), retryAfter: fields['retry-after'] ?? null };
  });
  stream.on('data', (chunk: Buffer) => {
    bytesRead += chunk.length;
    chunks.push(chunk);
    if (bytesRead > replyBytesMax) stream.destroy(toHttpFailure('REPLY_TOO_LONG', 'The reply is too long.'));
  });
  stream.on('end', () => {
    if (head) resolve({ ...head, text: Buffer.concat(chunks).toString('utf8') });
  });
  stream.on('error', (error) => {
    const isRefused = stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM;
    reject(isRefused ? toHttpFailure(refusedStream, 'The server refused the request.') : error);
  });
  // What has not ended by now never will.
  stream.on('close', () => reject(toHttpFailure('NO_REPLY', 'The connection was closed without a reply.')));
  stream.end(body);
  return promise;
}
