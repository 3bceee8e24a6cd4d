import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import { answerParent } from '../support/parent.ts';

// The measure of fan-out: a server that does nothing but send a ready string to every socket.

const questionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listen') }),
  z.object({ kind: z.literal('prepare'), texts: z.array(z.string()) }),
  z.object({ kind: z.literal('broadcast'), count: z.int() }),
  z.object({ kind: z.literal('cpu') }),
]);

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
const listening = once(server, 'listening');
let texts: string[] = [];

answerParent(async (message) => {
  const question = questionSchema.parse(message);
  switch (question.kind) {
    case 'listen': {
      await listening;
      const address = server.address();
      return { port: typeof address === 'object' ? address?.port : null };
    }
    case 'prepare':
      texts = question.texts;
      return { count: texts.length };
    case 'broadcast':
      for (const text of texts.splice(0, question.count)) for (const socket of server.clients) socket.send(text);
      return undefined;
    case 'cpu': {
      const { user, system } = process.cpuUsage();
      return { cpuUs: user + system };
    }
  }
});
