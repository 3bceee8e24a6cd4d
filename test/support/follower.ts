import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { graphql } from '../generated/gql.ts';
import type { FollowDeliveriesSubscription } from '../generated/graphql.ts';

const FollowDeliveries = graphql(`
  subscription FollowDeliveries($notification: ID!, $after: String) {
    deliveryEvents(notification: $notification, after: $after) {
      __typename
      ... on DeliveryEvent { cursor status }
      ... on StreamPosition { cursor state }
    }
  }
`);

/**
 * A subscriber of a notification's events, from now on. When it is cut off it comes back by itself, with the last cursor
 * that it had. It keeps all that it was told.
 */
export interface Follower {
  /** `<cursor> <status>` of each event, in the order in which they came. */
  readonly events: readonly string[];
  /** LIVE, RECOVERED or GAP, each time that it was said. */
  readonly states: readonly string[];
  /** The last cursor that it had. */
  readonly cursor: string | undefined;
  /** How its connections ended: the code of the close of a WebSocket; of SSE whether the answer was whole. */
  readonly endings: readonly (number | 'whole' | 'cut')[];
  /** Whether it was told that there is no more to come. Null: no. */
  readonly completion: 'complete' | { error: unknown } | null;
  /** It goes away. */
  close(): Promise<void>;
}

export interface FollowOptions {
  /** The gateway to connect to, each time that it connects. */
  url(): string;
  serverKey: string;
  /** Global or local id. */
  notification: string;
}

/** Keeps what a follower is told, and what it says when it comes back. */
function createNotes(notification: string) {
  const variables: { notification: string; after?: string } = { notification };
  const events: string[] = [];
  const states: string[] = [];
  return {
    variables,
    events,
    states,
    take({ deliveryEvents: item }: FollowDeliveriesSubscription) {
      variables.after = item.cursor;
      if (item.__typename === 'StreamPosition') states.push(item.state);
      else events.push(`${item.cursor} ${item.status}`);
    },
  };
}

/**
 * Follows over WebSocket, by the client of graphql-ws. It writes the variables anew each time that it connects, so that
 * they only have to be kept up to date.
 *
 * @param retryWait how long it waits before it comes back. @default as graphql-ws does it: 1 to 4 seconds at first
 */
export function followByWebSocket(
  { url, serverKey, notification }: FollowOptions,
  retryWait?: (retries: number) => Promise<void>,
): Follower {
  const notes = createNotes(notification);
  const endings: number[] = [];
  let completion: Follower['completion'] = null;
  let isLeaving = false;
  const client = createClient({
    url: () => `${url().replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${serverKey}` },
    ...(retryWait && { retryWait }),
    on: {
      closed(event) {
        if (!isLeaving && event instanceof Object && 'code' in event) endings.push(Number(event.code));
      },
    },
  });
  client.subscribe<FollowDeliveriesSubscription>(
    { query: FollowDeliveries.toString(), variables: notes.variables },
    {
      next({ data, errors }) {
        if (data) notes.take(data);
        else completion = { error: errors };
      },
      error(error) {
        completion = { error: error instanceof Object && 'message' in error ? error.message : error };
      },
      complete() {
        if (!isLeaving) completion ??= 'complete';
      },
    },
  );
  return {
    ...notes,
    endings,
    get cursor() {
      return notes.variables.after;
    },
    get completion() {
      return completion;
    },
    async close() {
      isLeaving = true;
      await client.dispose();
    },
  };
}

/** Follows over SSE, as EventSource would: it connects again when an answer ends without a word of completion. */
export function followBySse({ url, serverKey, notification }: FollowOptions): Follower {
  const notes = createNotes(notification);
  const leaving = new AbortController();
  const endings: ('whole' | 'cut')[] = [];
  let completion: Follower['completion'] = null;

  async function* readAnswer() {
    const response = await fetch(`${url()}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${serverKey}`,
      },
      body: JSON.stringify({ query: FollowDeliveries.toString(), variables: notes.variables }),
      signal: leaving.signal,
    });
    let rest = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = `${rest}${chunk}`.split('\n\n');
      rest = blocks.pop() ?? '';
      yield* blocks;
    }
  }

  async function follow() {
    while (completion === null && !leaving.signal.aborted) {
      try {
        for await (const block of readAnswer()) {
          if (block.startsWith('event: complete')) completion = 'complete';
          const [, data] = /^event: next\ndata: (.*)$/.exec(block) ?? [];
          if (data === undefined) continue;
          const answer: { data?: FollowDeliveriesSubscription } = JSON.parse(data);
          if (answer.data) notes.take(answer.data);
          else completion = { error: answer };
        }
        endings.push('whole');
      } catch {
        if (!leaving.signal.aborted) endings.push('cut');
      }
    }
  }

  const following = follow();
  return {
    ...notes,
    endings,
    get cursor() {
      return notes.variables.after;
    },
    get completion() {
      return completion;
    },
    async close() {
      leaving.abort();
      await following;
    },
  };
}
