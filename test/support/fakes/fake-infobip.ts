import { createServer, type IncomingMessage } from 'node:http';
import { z } from 'zod';
import { closeHttp, listenOnLoopback, readBody, type ScriptedReply } from './loopback.ts';
import { createReceived } from './received.ts';

/** One SMS that was taken. */
interface ReceivedSms {
  sender: string;
  /** International format without "+". */
  to: string;
  text: string;
  messageId: string;
  validityMinutes: number;
}

/** One WhatsApp message that was taken, in the form of its content. */
interface ReceivedWhatsApp {
  from: string;
  /** International format without "+". */
  to: string;
  messageId: string;
  content: object;
}

/** Infobip's SMS and WhatsApp APIs, as far as sending goes. */
export interface FakeInfobip {
  baseUrl: string;
  apiKey: string;
  messages: readonly ReceivedSms[];
  whatsApps: readonly ReceivedWhatsApp[];
  /** The first `count` messages, as soon as there are so many. */
  received(count: number): Promise<ReceivedSms[]>;
  /** Answers the next request with this, whatever it is. */
  replyNext(reply: ScriptedReply): void;
  /** Takes the next request and answers with this status of its message. */
  replyNextStatus(groupName: string, name: string): void;
  requestCount(): number;
  /** Answers what is held, and everything from now on. */
  release(): void;
  close(): Promise<void>;
}

// The documented form, and nothing else: https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages
const requestSchema = z.strictObject({
  messages: z.tuple([
    z.strictObject({
      sender: z.string().min(1),
      destinations: z.tuple([
        z.strictObject({ to: z.string().regex(/^[1-9]\d{4,14}$/), messageId: z.string().min(1).max(200) }),
      ]),
      content: z.strictObject({ text: z.string().min(1) }),
      options: z.strictObject({
        validityPeriod: z.strictObject({ amount: z.int().min(1).max(2_880), timeUnit: z.literal('MINUTES') }),
      }),
    }),
  ]),
});

const phone = z.string().regex(/^[1-9]\d{4,14}$/);
const whatsAppSchema = <Content extends z.ZodType<object>>(content: Content) =>
  z.strictObject({ from: phone, to: phone, messageId: z.string().min(1).max(50), content });

// https://www.infobip.com/docs/api/channels/whatsapp/whatsapp-outbound-messages/send-whatsapp-text-message
const textSchema = whatsAppSchema(z.strictObject({ text: z.string().min(1).max(4_096) }));

// https://www.infobip.com/docs/api/channels/whatsapp/whatsapp-outbound-messages/send-whatsapp-template-message
const templateSchema = z.strictObject({
  messages: z.tuple([
    whatsAppSchema(
      z.strictObject({
        templateName: z.string().min(1).max(512),
        templateData: z.strictObject({ body: z.strictObject({ placeholders: z.array(z.string().min(1)) }) }),
        language: z.string().min(1),
      }),
    ),
  ]),
});

/** @param holdAfter messages that are answered; what is taken after them is kept waiting for its answer until `release`. */
export async function startFakeInfobip({
  apiKey = 'test-key',
  holdAfter = Number.POSITIVE_INFINITY,
} = {}): Promise<FakeInfobip> {
  const { items: messages, add, received } = createReceived<ReceivedSms>();
  const whatsApps: ReceivedWhatsApp[] = [];
  const scripted: ScriptedReply[] = [];
  const released = Promise.withResolvers<void>();
  let requestCount = 0;

  async function take(request: IncomingMessage): Promise<ScriptedReply> {
    const body = await readBody(request);
    const reply = scripted.shift();
    if (reply) return reply;
    if (request.headers.authorization !== `App ${apiKey}`) return toApiError(401, 'E401', 'Unauthorized');
    const isSms = request.url === '/sms/3/messages';
    const [, form] = /^\/whatsapp\/1\/message\/(text|template)$/.exec(request.url ?? '') ?? [];
    if (request.method !== 'POST' || !(isSms || form)) return toApiError(404, 'E404', 'Not found');
    if (request.headers['content-type'] !== 'application/json') return toApiError(400, 'E400', 'Not JSON');
    if (form) return takeWhatsApp(form, JSON.parse(body.toString('utf8')));
    const parsed = requestSchema.safeParse(JSON.parse(body.toString('utf8')));
    if (!parsed.success) return toApiError(400, 'E400', 'Bad request');
    const [{ sender, destinations, content, options }] = parsed.data.messages;
    const [{ to, messageId }] = destinations;
    if (messages.some((message) => message.messageId === messageId))
      return toStatus('REJECTED', 'REJECTED_DUPLICATE_MESSAGE_ID', messageId);
    add({ sender, to, text: content.text, messageId, validityMinutes: options.validityPeriod.amount });
    if (messages.length > holdAfter) await released.promise;
    return toStatus('PENDING', 'PENDING_ACCEPTED', messageId);
  }

  function takeWhatsApp(form: string, body: unknown): ScriptedReply {
    const list = templateSchema.safeParse(body).data?.messages;
    const [message] = form === 'text' ? [textSchema.safeParse(body).data] : (list ?? []);
    if (!message) return toApiError(400, 'E400', 'Bad request');
    whatsApps.push(message);
    const status = { groupId: 1, groupName: 'PENDING', id: 7, name: 'PENDING_ENROUTE', description: 'Sent on.' };
    const reply = { to: message.to, messageCount: 1, messageId: message.messageId, status };
    return toJson(200, form === 'text' ? reply : { messages: [reply], bulkId: 'bulk' });
  }

  const server = createServer((request, response) => {
    requestCount += 1;
    take(request).then(
      ({ status, headers, body }) => response.writeHead(status, headers).end(body),
      (error: unknown) => response.writeHead(400).end(String(error)),
    );
  });
  const port = await listenOnLoopback(server);

  return {
    baseUrl: `http://127.0.0.1:${port}`,
    apiKey,
    messages,
    whatsApps,
    received,
    replyNext: (reply) => scripted.push(reply),
    replyNextStatus: (groupName, name) => scripted.push(toStatus(groupName, name, 'scripted')),
    requestCount: () => requestCount,
    release: released.resolve,
    close: () => closeHttp(server),
  };
}

function toStatus(groupName: string, name: string, messageId: string): ScriptedReply {
  const status = { groupId: 1, groupName, id: 26, name, description: 'Played by a test.' };
  return toJson(200, {
    bulkId: 'bulk',
    messages: [{ messageId, status, destination: '385916242493', details: { messageCount: 1 } }],
  });
}

function toApiError(status: number, errorCode: string, description: string): ScriptedReply {
  return toJson(status, { errorCode, description, action: 'See the documentation.', violations: [], resources: [] });
}

function toJson(status: number, body: unknown): ScriptedReply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
