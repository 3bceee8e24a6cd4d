import { createClient, NetworkError } from 'graphql-sse';
import { parseAnswer } from './request.ts';
import type { Subscriber, Subscription } from './subscribers.ts';

/**
 * Subscribes by the client of graphql-sse, which comes back by itself, here without delay, when an answer breaks off. `next`
 * rejects with the HTTP status when it is not let in.
 */
export async function subscribeByGraphqlSse(
  url: string,
  { secret, ...operation }: Subscription,
  { singleConnection = false } = {},
): Promise<Subscriber> {
  const client = createClient({
    url: `${url}/graphql`,
    headers: secret === null ? {} : { authorization: `Bearer ${secret}` },
    retry: async () => undefined,
    singleConnection,
  });
  const answers: ReturnType<Subscriber['next']>[] = [];
  let hasNews = Promise.withResolvers<void>();
  const push = (answer: ReturnType<Subscriber['next']>) => {
    // Until somebody asks for it, it is nobody's failure.
    answer.catch(() => undefined);
    answers.push(answer);
    hasNews.resolve();
  };
  client.subscribe(operation, {
    next: (result) => push(Promise.resolve(parseAnswer(JSON.stringify(result)))),
    error: (error) => push(Promise.reject(new Error(describe(error)))),
    complete: () => push(Promise.resolve(null)),
  });
  return {
    async next() {
      for (;;) {
        const answer = answers.shift();
        if (answer) return answer;
        hasNews = Promise.withResolvers<void>();
        await hasNews.promise;
      }
    },
    close: client.dispose,
    // It takes all that comes.
    hold: () => undefined,
  };
}

function describe(error: unknown): string {
  return error instanceof NetworkError && error.response ? `HTTP ${error.response.status}` : String(error);
}
