import { generateKeyPairSync, type KeyObject, randomUUID, verify } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { createSecureServer, type Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import { z } from 'zod';
import { closeHttp, listenOnLoopback, readBody, type ScriptedReply } from './loopback.ts';
import { createReceived } from './received.ts';

/** FCM's HTTP v1 API as far as sending goes, and the token endpoint that goes with it. */
export interface FakeFcm {
  baseUrl: string;
  tokenUri: string;
  /** The text of the service account's file. */
  serviceAccount: string;
  messages: readonly ReceivedFcmMessage[];
  /** The first `count` messages, as soon as there are so many. */
  received(count: number): Promise<ReceivedFcmMessage[]>;
  /** Answers the next message with this, whatever it is. */
  replyNext(reply: ScriptedReply): void;
  /** Answers the next request for an access token with this. */
  replyNextToken(reply: ScriptedReply | Promise<ScriptedReply>): void;
  /** Takes none of the access tokens any more that it has given out. */
  revokeTokens(): void;
  /** Access tokens given out. */
  tokenCount(): number;
  requestCount(): number;
  connectionCount(): number;
  /** Answers nothing before so many messages wait at once. */
  holdUntil(count: number): void;
  close(): Promise<void>;
}

const text = z.string().min(1);

// The documented form, and nothing else: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
const messageSchema = z.strictObject({
  token: text,
  notification: z.strictObject({ title: text.optional(), body: text, image: text.optional() }),
  data: z.record(z.string().regex(/^(?!from$|message_type$|google|gcm)/), z.string()),
  android: z
    .strictObject({
      ttl: z.string().regex(/^\d+s$/),
      priority: z.enum(['NORMAL', 'HIGH']),
      notification: z.strictObject({ tag: text }),
    })
    .optional(),
  apns: z
    .strictObject({
      headers: z.record(z.string(), z.string()),
      payload: z.looseObject({ aps: z.looseObject({}) }),
      fcm_options: z.strictObject({ image: text }).optional(),
    })
    .optional(),
  webpush: z
    .strictObject({
      headers: z.record(z.string(), z.string()),
      notification: z.strictObject({ tag: text, icon: text.optional() }),
      fcm_options: z.strictObject({ link: z.url({ protocol: /^https$/ }) }).optional(),
    })
    .optional(),
});

/** One message that was taken. */
type ReceivedFcmMessage = z.infer<typeof messageSchema>;

const claimsSchema = z.object({
  iss: z.literal('sender@shop-1234.iam.gserviceaccount.com'),
  scope: z.literal('https://www.googleapis.com/auth/firebase.messaging'),
  aud: z.string(),
  exp: z.number(),
  iat: z.number(),
});

/**
 * @param tls speak HTTP/2 over TLS with this certificate, as `host`; access tokens are given out without.
 * @param expiresInSeconds of access tokens.
 */
export async function startFakeFcm({
  tls,
  expiresInSeconds = 3_600,
}: {
  tls?: { key: string; cert: string; host: string };
  expiresInSeconds?: number;
} = {}): Promise<FakeFcm> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const { items: messages, add, received } = createReceived<ReceivedFcmMessage>();
  const scripted: ScriptedReply[] = [];
  const scriptedTokens: (ScriptedReply | Promise<ScriptedReply>)[] = [];
  const issued = new Set<string>();
  const sockets = new Set<Socket>();
  const counts = { tokens: 0, requests: 0, connections: 0, waiting: 0, held: 0 };
  let full = Promise.withResolvers<void>();

  function giveToken(body: string): ScriptedReply {
    const form = new URLSearchParams(body);
    const isRight = form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const claims = isRight ? readAssertion(form.get('assertion') ?? '', publicKey) : null;
    if (claims?.aud !== tokenUri) return toJson(400, { error: 'invalid_grant', error_description: 'Bad assertion.' });
    counts.tokens += 1;
    const token = `ya29.${randomUUID()}`;
    issued.add(token);
    return toJson(200, { access_token: token, expires_in: expiresInSeconds, token_type: 'Bearer' });
  }

  async function take({ method, url, headers }: IncomingMessage | Http2ServerRequest, body: string) {
    if (method !== 'POST') return toFcmError(405, { status: 'UNIMPLEMENTED' });
    counts.requests += 1;
    counts.waiting += 1;
    if (counts.waiting >= counts.held) full.resolve();
    await full.promise;
    const reply = scripted.shift();
    if (reply) return reply;
    if (!issued.has(headers.authorization?.replace(/^Bearer /, '') ?? '')) {
      return toFcmError(401, { status: 'UNAUTHENTICATED' });
    }
    if (url !== '/v1/projects/shop-1234/messages:send') return toFcmError(404, { status: 'NOT_FOUND' });
    const parsed = z.strictObject({ message: messageSchema }).safeParse(JSON.parse(body));
    if (!parsed.success) return toFcmError(400, { status: 'INVALID_ARGUMENT', field: 'message' });
    add(parsed.data.message);
    return toJson(200, { name: `projects/shop-1234/messages/0:${messages.length}` });
  }

  const tokenServer = createServer((request, response) => {
    readBody(request)
      .then((body) => scriptedTokens.shift() ?? giveToken(body.toString('utf8')))
      .then(
        ({ status, headers, body }) => response.writeHead(status, headers).end(body),
        (error: unknown) => response.writeHead(400).end(String(error)),
      );
  });
  const tokenUri = `http://127.0.0.1:${await listenOnLoopback(tokenServer)}/token`;

  const answer = (request: IncomingMessage | Http2ServerRequest, reply: (given: ScriptedReply) => void) => {
    bodyOf(request)
      .then((body) => take(request, body))
      .then(reply, (error: unknown) => reply({ status: 400, body: String(error) }));
  };
  const server = tls
    ? createSecureServer({ ...tls, allowHTTP1: true }, (request, response) =>
        answer(request, ({ status, headers, body }) => response.writeHead(status, headers).end(body ?? '')),
      )
    : createServer((request, response) =>
        answer(request, ({ status, headers, body }) => response.writeHead(status, headers).end(body)),
      );
  server.on('connection', (socket: Socket) => {
    counts.connections += 1;
    sockets.add(socket);
  });
  const port = await listenOnLoopback(server);
  const baseUrl = tls ? `https://${tls.host}:${port}` : `http://127.0.0.1:${port}`;

  return {
    baseUrl,
    tokenUri,
    serviceAccount: JSON.stringify({
      type: 'service_account',
      project_id: 'shop-1234',
      private_key_id: 'f00d',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: 'sender@shop-1234.iam.gserviceaccount.com',
      token_uri: tokenUri,
    }),
    messages,
    received,
    replyNext: (reply) => scripted.push(reply),
    replyNextToken: (reply) => scriptedTokens.push(reply),
    revokeTokens: () => issued.clear(),
    tokenCount: () => counts.tokens,
    requestCount: () => counts.requests,
    connectionCount: () => counts.connections,
    holdUntil(count) {
      counts.held = count;
      counts.waiting = 0;
      full = Promise.withResolvers();
    },
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
      await Promise.all([promise, closeHttp(tokenServer)]);
    },
  };
}

async function bodyOf(request: IncomingMessage | Http2ServerRequest): Promise<string> {
  if ('stream' in request) {
    let body = '';
    for await (const chunk of request) body += chunk;
    return body;
  }
  return (await readBody(request)).toString('utf8');
}

/** The claims of a JWT that this key signed by RS256; null when it is none. */
function readAssertion(assertion: string, publicKey: KeyObject): z.infer<typeof claimsSchema> | null {
  const [header = '', claims = '', signature = ''] = assertion.split('.');
  const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  if (read(header).alg !== 'RS256') return null;
  if (!verify('sha256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url')))
    return null;
  return claimsSchema.parse(read(claims));
}

/** An error in the form of Google's APIs, with FCM's own code, or a field that is at fault, where there is one. */
export function toFcmError(
  httpStatus: number,
  given: { status: string; message?: string; errorCode?: string; field?: string; retryDelay?: string },
): ScriptedReply {
  const { status, message = 'Played by a test.', errorCode, field, retryDelay } = given;
  const details = [
    ...(errorCode ? [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode }] : []),
    ...(field
      ? [{ '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field, description: 'Bad.' }] }]
      : []),
    ...(retryDelay ? [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }] : []),
  ];
  return toJson(httpStatus, { error: { code: httpStatus, message, status, details } });
}

function toJson(status: number, body: unknown): ScriptedReply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
