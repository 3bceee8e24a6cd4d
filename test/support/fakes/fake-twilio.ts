import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { z } from 'zod';
import { closeHttp, listenOnLoopback, readBody, type ScriptedReply } from './loopback.ts';
import { createReceived } from './received.ts';

/** The parameters of a message that was taken. */
type ReceivedMessage = z.infer<typeof formSchema>;

/** Twilio's Messages resource, as far as creating goes. */
export interface FakeTwilio {
  baseUrl: string;
  accountSid: string;
  authToken: string;
  messages: readonly ReceivedMessage[];
  /** The first `count` messages, as soon as there are so many. */
  received(count: number): Promise<ReceivedMessage[]>;
  /** Answers the next request with this, whatever it is. */
  replyNext(reply: ScriptedReply): void;
  /** Refuses the next request with this code of Twilio's. */
  refuseNext(status: number, code: number): void;
  /** Takes the next request and answers with this status of its message. */
  replyNextStatus(status: string, errorCode?: number | null): void;
  close(): Promise<void>;
}

// The documented form, and nothing else:
// https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
const address = z.string().regex(/^(whatsapp:)?\+[1-9]\d{4,14}$/);
const formSchema = z
  .strictObject({
    To: address,
    From: z.string().min(1).optional(),
    MessagingServiceSid: z
      .string()
      .regex(/^MG[0-9a-f]{32}$/)
      .optional(),
    ValidityPeriod: z
      .string()
      .regex(/^\d+$/)
      .refine((text) => Number(text) >= 1 && Number(text) <= 36_000),
    Body: z.string().min(1).max(1_600).optional(),
    ContentSid: z
      .string()
      .regex(/^HX[0-9a-f]{32}$/)
      .optional(),
    ContentVariables: z.string().optional(),
    StatusCallback: z.url().optional(),
  })
  .refine(({ From, MessagingServiceSid }) => (From === undefined) !== (MessagingServiceSid === undefined))
  .refine(({ Body, ContentSid }) => (Body === undefined) !== (ContentSid === undefined));

export async function startFakeTwilio(): Promise<FakeTwilio> {
  const accountSid = `AC${randomBytes(16).toString('hex')}`;
  const authToken = randomBytes(16).toString('hex');
  const { items: messages, add, received } = createReceived<ReceivedMessage>();
  const scripted: ScriptedReply[] = [];
  const credentials = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`;

  async function take(request: IncomingMessage): Promise<ScriptedReply> {
    const body = await readBody(request);
    const reply = scripted.shift();
    if (reply) return reply;
    if (request.url !== `/2010-04-01/Accounts/${accountSid}/Messages.json`) return toError(404, 20_404);
    if (request.headers.authorization !== credentials) return toError(401, 20_003);
    if (request.method !== 'POST') return toError(405, 20_004);
    if (request.headers['content-type'] !== 'application/x-www-form-urlencoded') return toError(400, 20_001);
    const parsed = formSchema.safeParse(Object.fromEntries(new URLSearchParams(body.toString('utf8'))));
    if (!parsed.success) return toError(400, 20_001);
    add(parsed.data);
    return toMessage('queued', null);
  }

  const server = createServer((request, response) => {
    take(request).then(
      ({ status, headers, body }) => response.writeHead(status, headers).end(body),
      (error: unknown) => response.writeHead(400).end(String(error)),
    );
  });
  const port = await listenOnLoopback(server);

  return {
    baseUrl: `http://127.0.0.1:${port}`,
    accountSid,
    authToken,
    messages,
    received,
    replyNext: (reply) => scripted.push(reply),
    refuseNext: (status, code) => scripted.push(toError(status, code)),
    replyNextStatus: (status, errorCode = null) => scripted.push(toMessage(status, errorCode)),
    close: () => closeHttp(server),
  };
}

function toMessage(status: string, errorCode: number | null): ScriptedReply {
  const sid = `SM${randomBytes(16).toString('hex')}`;
  return toJson(201, { sid, status, error_code: errorCode, error_message: null, num_segments: '1' });
}

function toError(status: number, code: number): ScriptedReply {
  const moreInfo = `https://www.twilio.com/docs/errors/${code}`;
  return toJson(status, { code, message: 'Played by a test.', more_info: moreInfo, status });
}

function toJson(status: number, body: unknown): ScriptedReply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
