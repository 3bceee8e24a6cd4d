import { once } from 'node:events';
import { createServer } from 'node:http';
import { z } from 'zod';
import { answerParent } from '../support/parent.ts';

// The measure of a request: a server that parses the JSON it is sent and answers JSON that was ready, by node:http and
// nothing else.

const questionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listen'), answer: z.string() }),
  z.object({ kind: z.literal('cpu') }),
]);

let answer: unknown;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { query } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const body = JSON.stringify(typeof query === 'string' ? answer : null);
    response
      .writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) })
      .end(body);
  });
});

answerParent(async (message) => {
  const question = questionSchema.parse(message);
  if (question.kind === 'cpu') {
    const { user, system } = process.cpuUsage();
    return { cpuUs: user + system };
  }
  answer = JSON.parse(question.answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { port: typeof address === 'object' ? address?.port : null };
});
