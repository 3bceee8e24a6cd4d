import { z } from 'zod';
import { answerParent } from '../support/parent.ts';
import { type Audience, bareOpener, gather, subscriptionOpener } from './audience.ts';

// A process of subscribers: the same program for all servers that are compared, which has an audience at each.

const questionSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('gather'),
    at: z.string(),
    size: z.int(),
    url: z.string(),
    subscription: z
      .object({ authorization: z.string(), query: z.string(), variables: z.record(z.string(), z.string()) })
      .nullable(),
  }),
  z.object({ kind: z.literal('expect'), at: z.string(), eventCount: z.int() }),
  z.object({ kind: z.literal('received'), at: z.string() }),
  z.object({ kind: z.literal('leave'), at: z.string() }),
]);

const audiences = new Map<string, Audience>();

function audienceAt(server: string): Audience {
  const audience = audiences.get(server);
  if (!audience) throw new Error(`Nobody is at ${server}.`);
  return audience;
}

answerParent(async (message) => {
  const question = questionSchema.parse(message);
  switch (question.kind) {
    case 'gather': {
      const { at, size, url, subscription } = question;
      audiences.set(at, await gather(size, subscription ? subscriptionOpener(url, subscription) : bareOpener(url)));
      return {};
    }
    case 'expect':
      audienceAt(question.at).expect(question.eventCount);
      return {};
    case 'received':
      return audienceAt(question.at).received();
    case 'leave':
      audienceAt(question.at).leave();
      audiences.delete(question.at);
      return {};
  }
});
