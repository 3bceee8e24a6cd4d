import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import { closeHttp, listenOnLoopback, readBody } from './loopback.ts';
import { createReceived } from './received.ts';

const messageSchema = z.strictObject({
  type: z.literal('delivery.events'),
  timestamp: z.iso.datetime(),
  data: z.strictObject({
    gap: z.boolean(),
    events: z
      .array(
        z.strictObject({
          cursor: z.string(),
          deliveryId: z.uuid(),
          notificationId: z.uuid(),
          userId: z.uuid().nullable(),
          status: z.string(),
          reason: z.string().nullable(),
          at: z.iso.datetime(),
        }),
      )
      .min(1),
  }),
});

/** One call. */
export interface WebhookAttempt {
  id: string;
  headers: Record<string, string>;
  body: string;
  message: z.infer<typeof messageSchema>;
  /** What it was answered; null: nothing yet. */
  status: number | null;
}

/** Somebody's receiver. */
export interface FakeWebhook {
  url: string;
  attempts: readonly WebhookAttempt[];
  /** The first `count` attempts, as soon as there are so many. */
  received(count: number): Promise<WebhookAttempt[]>;
  /** Answers so from now on; null: not at all. @default 204 */
  answer(status: number | null, headers?: Record<string, string>): void;
  /** The events of what was taken, in order, repeats and all. */
  events(): WebhookAttempt['message']['data']['events'];
  close(): Promise<void>;
}

export async function startFakeWebhook(): Promise<FakeWebhook> {
  const { items: attempts, add, received } = createReceived<WebhookAttempt>();
  let answer: { status: number | null; headers: Record<string, string> } = { status: 204, headers: {} };
  const server = createServer(async (request, response) => {
    const body = (await readBody(request)).toString('utf8');
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const { status } = answer;
    if (status !== null) response.writeHead(status, answer.headers).end();
    add({ id: headers['webhook-id'] ?? '', headers, body, message: messageSchema.parse(JSON.parse(body)), status });
  });
  const port = await listenOnLoopback(server);
  return {
    url: `http://127.0.0.1:${port}/hook?a=1`,
    attempts,
    received,
    answer(status, headers = {}) {
      answer = { status, headers };
    },
    events: () => attempts.filter(({ status }) => status === 204).flatMap(({ message }) => message.data.events),
    close: () => closeHttp(server),
  };
}

/** Whether a call is signed with `secret`, by the convention's own library. Throws when it is not. */
export function verifyWebhook(secret: string, { body, headers }: WebhookAttempt): unknown {
  return new Webhook(secret).verify(body, headers);
}
