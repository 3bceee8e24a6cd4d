import { generateKeyPairSync } from 'node:crypto';
import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { z } from 'zod';
import { listenOnLoopback } from './loopback.ts';
import { createReceived } from './received.ts';

/** One notification that was taken. */
interface ReceivedNotification {
  token: string;
  headers: IncomingHttpHeaders;
  payload: z.infer<typeof payloadSchema>;
}

/** What is answered once, instead of playing the part. */
interface ScriptedApnsReply {
  status: number;
  reason?: string;
  timestamp?: number;
  headers?: Record<string, string>;
  /** Instead of the reason. */
  body?: string;
}

/** APNs, as far as alerts go, over HTTP/2 without TLS. */
export interface FakeApns {
  baseUrl: string;
  /** What an operator sets. */
  key: string;
  keyId: string;
  teamId: string;
  topic: string;
  notifications: readonly ReceivedNotification[];
  received(count: number): Promise<ReceivedNotification[]>;
  replyNext(reply: ScriptedApnsReply): void;
  /** Refuses the next request's stream, unlooked at. */
  refuseNext(): void;
  /** Says to every connection that it goes away. */
  goAway(): void;
  /** Ends every connection without a word. */
  cutConnections(): void;
  /** Answers nothing before so many requests wait at once. */
  holdUntil(count: number): void;
  /** Answers what is held. */
  release(): void;
  /** The provider tokens that were used, each once. */
  tokens: ReadonlySet<string>;
  connectionCount(): number;
  /** Connections that are open. */
  openCount(): number;
  requestCount(): number;
  close(): Promise<void>;
}

// The documented form, and nothing else: https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
const payloadSchema = z.looseObject({
  aps: z.strictObject({
    alert: z.strictObject({ title: z.string().optional(), subtitle: z.string().optional(), body: z.string() }),
    sound: z.literal('default'),
    'mutable-content': z.literal(1),
  }),
});

const topic = 'com.example.shop';
const keyId = 'ABC123DEFG';
const teamId = 'DEF123GHIJ';

/** @param now milliseconds since 1970, which the age of provider tokens is judged by. */
export async function startFakeApns({ now = () => Date.now() } = {}): Promise<FakeApns> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { items: notifications, add, received } = createReceived<ReceivedNotification>();
  const scripted: (ScriptedApnsReply | 'refuse')[] = [];
  const tokens = new Set<string>();
  const sessions = new Set<ServerHttp2Session>();
  const counts = { connections: 0, requests: 0, waiting: 0, held: 0 };
  let full = Promise.withResolvers<void>();

  /** What is wrong with a provider token; null: nothing. */
  async function judgeToken(authorization: string | undefined): Promise<ScriptedApnsReply | null> {
    const token = /^bearer (.+)$/.exec(authorization ?? '')?.[1];
    if (token === undefined) return { status: 403, reason: 'MissingProviderToken' };
    tokens.add(token);
    try {
      const { payload } = await jwtVerify(token, publicKey, { algorithms: ['ES256'], issuer: teamId });
      const ageSeconds = now() / 1_000 - (payload.iat ?? 0);
      if (decodeProtectedHeader(token).kid !== keyId) return { status: 403, reason: 'InvalidProviderToken' };
      return ageSeconds > 3_600 ? { status: 403, reason: 'ExpiredProviderToken' } : null;
    } catch {
      return { status: 403, reason: 'InvalidProviderToken' };
    }
  }

  async function take(headers: IncomingHttpHeaders, body: string): Promise<ScriptedApnsReply> {
    const refusal = await judgeToken(headers.authorization);
    if (refusal) return refusal;
    const token = /^\/3\/device\/([^/]+)$/.exec(headers[':path'] ?? '')?.[1];
    if (token === undefined) return { status: 404, reason: 'BadPath' };
    if (headers[':method'] !== 'POST') return { status: 405, reason: 'MethodNotAllowed' };
    if (headers['apns-topic'] !== topic) return { status: 400, reason: 'DeviceTokenNotForTopic' };
    if (headers['apns-push-type'] !== 'alert') return { status: 400, reason: 'InvalidPushType' };
    if (!/^(1|5|10)$/.test(String(headers['apns-priority']))) return { status: 400, reason: 'BadPriority' };
    if (!/^\d+$/.test(String(headers['apns-expiration']))) return { status: 400, reason: 'BadExpirationDate' };
    if (!z.uuid().safeParse(headers['apns-id']).success) return { status: 400, reason: 'BadMessageId' };
    if (String(headers['apns-collapse-id']).length > 64) return { status: 400, reason: 'BadCollapseId' };
    if (Buffer.byteLength(body) > 4_096) return { status: 413, reason: 'PayloadTooLarge' };
    const payload = payloadSchema.safeParse(JSON.parse(body));
    if (!payload.success) return { status: 400, reason: 'PayloadEmpty' };
    add({ token: decodeURIComponent(token), headers, payload: payload.data });
    return { status: 200 };
  }

  async function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    counts.requests += 1;
    if (scripted[0] === 'refuse') {
      scripted.shift();
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    stream.setEncoding('utf8');
    let text = '';
    for await (const chunk of stream) text += chunk;
    counts.waiting += 1;
    if (counts.waiting >= counts.held) full.resolve();
    await full.promise;
    const next = scripted.shift();
    const reply = next === undefined || next === 'refuse' ? await take(headers, text) : next;
    if (stream.destroyed) return;
    const { status, reason, timestamp, body = reason && JSON.stringify({ reason, timestamp }) } = reply;
    stream.respond({ ':status': status, 'apns-id': headers['apns-id'], ...reply.headers });
    stream.end(body);
  }

  const server = createServer();
  server.on('session', (session) => {
    counts.connections += 1;
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    // A client that gives up in the middle is what some tests are about.
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    answer(stream, headers).catch(() => stream.destroy());
  });
  const port = await listenOnLoopback(server);

  return {
    baseUrl: `http://127.0.0.1:${port}`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    keyId,
    teamId,
    topic,
    notifications,
    received,
    replyNext: (reply) => scripted.push(reply),
    refuseNext: () => scripted.push('refuse'),
    goAway() {
      for (const session of sessions) session.goaway(constants.NGHTTP2_NO_ERROR);
    },
    cutConnections() {
      for (const session of sessions) session.destroy();
    },
    holdUntil(count) {
      counts.held = count;
      counts.waiting = 0;
      full = Promise.withResolvers();
    },
    release: () => full.resolve(),
    tokens,
    connectionCount: () => counts.connections,
    openCount: () => sessions.size,
    requestCount: () => counts.requests,
    close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      for (const session of sessions) session.destroy();
      return promise;
    },
  };
}
