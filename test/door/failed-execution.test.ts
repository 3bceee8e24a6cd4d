import { afterEach, expect, test } from 'vitest';
import { testKeys } from '../support/app.ts';
import { useDoor } from '../support/door.ts';
import { insertDeliveries, insertNotification } from '../support/log-events.ts';
import { makePerson } from '../support/people.ts';
import { globalIdOf, localIdOf } from '../support/send-operations.ts';
import { type Subscriber, subscribeBySse, subscribeByWebSocket } from '../support/subscribers.ts';

const door = useDoor({ pollMs: 20 });

let open: Subscriber[] = [];
afterEach(() => {
  for (const subscriber of open) subscriber.close();
  open = [];
});

const query = `
  subscription ($user: UserRef, $after: String) {
    deliveryEvents(user: $user, after: $after) {
      ... on DeliveryEvent { cursor delivery { id } }
      ... on StreamPosition { cursor state }
    }
  }`;

const transports = { WebSocket: subscribeByWebSocket, SSE: subscribeBySse };
type Transport = keyof typeof transports;

/** An answer's item; null: the operation is complete. */
async function itemOf(subscriber: Subscriber) {
  const answer = await subscriber.next();
  return answer && { ...Object(answer.data).deliveryEvents, errors: answer.errors };
}

/** Lets a while pass in which deliveries cannot be read, though their events can. */
async function withoutDeliveries<Result>(during: () => Promise<Result>): Promise<Result> {
  await door.pool.query('alter table deliveries rename column provider_code to hidden');
  try {
    return await during();
  } finally {
    await door.pool.query('alter table deliveries rename column hidden to provider_code');
  }
}

test.each([
  ['WebSocket', 'server keys'],
  ['WebSocket', 'an installation'],
  ['SSE', 'server keys'],
  ['SSE', 'an installation'],
] satisfies [
  Transport,
  string,
][])('over %s, for %s, an event that cannot be told ends the stream with an error, and comes for the last cursor', async (transport, who) => {
  const person = await makePerson(door);
  const notificationId = await insertNotification(door.pool);
  const happens = async () => {
    const [id = ''] = await insertDeliveries(door.pool, { notificationId, userId: localIdOf(person.id) });
    return globalIdOf('Delivery', id);
  };
  const secret = who === 'server keys' ? testKeys.serverKey : person.token;
  const subscribe = async (after?: string) => {
    const subscriber = await transports[transport](door.url, {
      query,
      secret,
      variables: { user: { id: person.id }, after },
    });
    open.push(subscriber);
    return subscriber;
  };
  const subscribers = await Promise.all([subscribe(), subscribe(), subscribe()]);
  for (const subscriber of subscribers) expect(await itemOf(subscriber)).toMatchObject({ state: 'LIVE' });
  const cursors: string[] = [];
  for (const id of [await happens(), await happens()]) {
    for (const [index, subscriber] of subscribers.entries()) {
      const item = await itemOf(subscriber);
      expect(item).toMatchObject({ delivery: { id } });
      cursors[index] = String(item?.cursor);
    }
  }
  const id = await withoutDeliveries(async () => {
    const made = await happens();
    for (const subscriber of subscribers) {
      expect(await itemOf(subscriber)).toMatchObject({ errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] });
      expect(await itemOf(subscriber)).toBeNull();
    }
    return made;
  });
  for (const cursor of cursors) {
    const again = await subscribe(cursor);
    expect(await itemOf(again)).toMatchObject({ delivery: { id } });
    expect(await itemOf(again)).toMatchObject({ state: 'RECOVERED' });
  }
});
