import { createECDH, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { decryptPush, type SubscriptionSecrets } from './decrypt-push.ts';
import { closeHttp, listenOnLoopback, readBody, type ScriptedReply } from './loopback.ts';
import { createReceived } from './received.ts';
import { VapidRefusal, verifyVapid } from './verify-vapid.ts';

/** A push subscription as a page sends it to its back end. */
export interface FakeSubscription {
  endpoint: string;
  p256dh: string;
  auth: string;
}

/** One push that was taken: proven to be ours, and decrypted. */
interface ReceivedPush {
  endpoint: string;
  /** The JSON that the page's push worker would see. */
  payload: unknown;
  ttlSeconds: number;
  headers: IncomingMessage['headers'];
}

/** A push service with the browsers behind it. */
export interface FakePushService {
  origin: string;
  /** A new subscription, bound to `applicationServerKey` (base64url) when one is given. */
  subscribe(applicationServerKey?: string): FakeSubscription;
  pushes: readonly ReceivedPush[];
  /** The first `count` pushes, as soon as there are so many. */
  received(count: number): Promise<ReceivedPush[]>;
  /** Answers the next request with this, whatever it is. */
  replyNext(reply: ScriptedReply): void;
  /** Requests that came, answered by script or not. */
  requestCount(): number;
  /** TCP connections that came. */
  connectionCount(): number;
  close(): Promise<void>;
}

interface FakePushServiceOptions {
  /** Serves https with this certificate, as `host`. */
  tls?: { key: string; cert: string; host: string };
}

export async function startFakePushService({ tls }: FakePushServiceOptions = {}): Promise<FakePushService> {
  const subscriptions = new Map<string, SubscriptionSecrets & { applicationServerKey: string | undefined }>();
  const { items: pushes, add, received } = createReceived<ReceivedPush>();
  const scripted: ScriptedReply[] = [];
  let requestCount = 0;
  let connectionCount = 0;

  /** Takes a push, or throws what is wrong with it. */
  async function take(request: IncomingMessage): Promise<number> {
    const endpoint = `${origin}${request.url}`;
    const subscription = subscriptions.get(endpoint);
    if (!subscription) return 404;
    const { headers } = request;
    const body = await readBody(request);
    const key = verifyVapid(headers.authorization, origin);
    if (subscription.applicationServerKey !== undefined && subscription.applicationServerKey !== key) return 403;
    const ttlSeconds = Number(headers.ttl);
    if (request.method !== 'POST' || headers['content-encoding'] !== 'aes128gcm' || !Number.isInteger(ttlSeconds))
      return 400;
    if (body.length > 4_096) return 413;
    add({ endpoint, payload: JSON.parse(decryptPush(body, subscription).toString('utf8')), ttlSeconds, headers });
    return 201;
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    requestCount += 1;
    const reply = scripted.shift();
    if (reply) {
      request.resume();
      response.writeHead(reply.status, reply.headers).end(reply.body);
      return;
    }
    take(request).then(
      (status) => response.writeHead(status).end(),
      (error: unknown) => response.writeHead(error instanceof VapidRefusal ? error.status : 400).end(String(error)),
    );
  }

  const server = tls ? createSecureServer(tls, answer) : createServer(answer);
  server.on('connection', () => {
    connectionCount += 1;
  });
  const port = await listenOnLoopback(server);
  const origin = tls ? `https://${tls.host}:${port}` : `http://127.0.0.1:${port}`;

  return {
    origin,
    subscribe(applicationServerKey) {
      const keys = createECDH('prime256v1');
      keys.generateKeys();
      const auth = randomBytes(16);
      const endpoint = `${origin}/push/${randomUUID()}`;
      subscriptions.set(endpoint, { keys, auth, applicationServerKey });
      return { endpoint, p256dh: keys.getPublicKey('base64url'), auth: auth.toString('base64url') };
    },
    pushes,
    received,
    replyNext: (reply) => scripted.push(reply),
    requestCount: () => requestCount,
    connectionCount: () => connectionCount,
    close: () => closeHttp(server),
  };
}
