import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { answerParent } from '../support/parent.ts';

// A provider of SMS and of web push: takes everything, after a while, and tells how fast it came.

const questionSchema = z.object({ kind: z.enum(['open', 'reset', 'told']), answerMs: z.number().optional() });

let answerMs = 0;
let count = 0;
let firstAt = 0;
let lastAt = 0;

const sms = JSON.stringify({ messages: [{ status: { groupName: 'PENDING', name: 'PENDING_ACCEPTED' } }] });

const server = createServer(async (request, response) => {
  const isSms = request.url?.startsWith('/sms') === true;
  for await (const _ of request);
  if (answerMs > 0) await sleep(answerMs);
  if (count === 0) firstAt = performance.now();
  count += 1;
  lastAt = performance.now();
  if (isSms) response.setHeader('content-type', 'application/json').end(sms);
  else response.writeHead(201).end();
});
server.keepAliveTimeout = 60_000;
const listening = Promise.withResolvers<void>();
server.listen(0, '127.0.0.1', listening.resolve);

answerParent(async (question) => {
  const parsed = questionSchema.parse(question);
  await listening.promise;
  if (parsed.kind === 'open') return { port: (server.address() as AddressInfo).port };
  if (parsed.kind === 'reset') {
    answerMs = parsed.answerMs ?? answerMs;
    count = 0;
    return { count };
  }
  return { count, perSecond: count > 1 ? (count - 1) / ((lastAt - firstAt) / 1_000) : 0 };
});
