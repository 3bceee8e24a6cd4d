import { parseAnswer } from './request.ts';
import { openSocket } from './socket.ts';

type Answer = ReturnType<typeof parseAnswer>;

/** A subscription over either transport. What comes is queued, so that a test cannot miss it. */
export interface Subscriber {
  /** The next answer; null: the operation is complete. */
  next(): Promise<Answer | null>;
  close(): void;
  /** Takes nothing more from the connection, until it is asked for the next answer. */
  hold(): void;
}

/** What is asked, and by whom. */
export interface Subscription {
  query: string;
  variables?: Record<string, unknown>;
  /** Key or token; null: nobody's. */
  secret: string | null;
}

/** Subscribes in graphql-transport-ws. */
export async function subscribeByWebSocket(url: string, { secret, ...payload }: Subscription): Promise<Subscriber> {
  const socket = await openSocket(url);
  socket.send({ type: 'connection_init', ...(secret !== null && { payload: { authorization: `Bearer ${secret}` } }) });
  const { type } = await socket.next();
  if (type !== 'connection_ack') throw new Error(`Not acknowledged: ${type}`);
  socket.send({ id: '1', type: 'subscribe', payload });
  let isRefused = false;
  return {
    async next() {
      if (isRefused) return null;
      const message = await socket.next();
      if (message.type === 'complete') return null;
      // An operation that was not begun ends with this message.
      isRefused = message.type === 'error';
      return parseAnswer(JSON.stringify(isRefused ? { errors: message.payload } : message.payload));
    },
    close: socket.close,
    hold: socket.hold,
  };
}

/** Subscribes by an answer of type text/event-stream. */
export async function subscribeBySse(url: string, { secret, ...body }: Subscription): Promise<Subscriber> {
  const leaving = new AbortController();
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...(secret !== null && { authorization: `Bearer ${secret}` }),
    },
    body: JSON.stringify(body),
    signal: leaving.signal,
  });
  async function* read() {
    let rest = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = `${rest}${chunk}`.split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const [, event, data = ''] = /^event: (.*)\ndata:(.*)$/.exec(block) ?? [];
        if (event === 'next') yield parseAnswer(data);
        if (event === 'complete') yield null;
      }
    }
  }
  const answers = read();
  return {
    async next() {
      const { done, value } = await answers.next();
      if (done) throw new Error('The answer broke off.');
      return value;
    },
    close: () => leaving.abort(),
    // It never takes more than it is asked for, and what the connection holds.
    hold: () => undefined,
  };
}
