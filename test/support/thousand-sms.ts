import { graphql } from '../generated/gql.ts';
import { newPhone } from './addresses.ts';
import type { Client } from './client.ts';
import type { FakeInfobip } from './fakes/fake-infobip.ts';
import { makeNotification } from './operations.ts';
import { makePerson, toSend } from './send-operations.ts';

const Follow = graphql(`
  subscription FollowThousand($notification: ID!) {
    deliveryEvents(notification: $notification, after: "") {
      __typename
      ... on DeliveryEvent { cursor status delivery { id } }
      ... on StreamPosition { state }
    }
  }
`);

/** Sends a notification that is a thousand SMS: ten people with a hundred numbers each; or as many thousands. */
export async function sendThousandSms(server: Client, { thousands = 1 } = {}): Promise<string> {
  const users: { id: string }[] = [];
  for (const _ of Array(10 * thousands)) {
    const { id } = await makePerson(server, { phones: Array.from({ length: 100 }, () => newPhone()) });
    users.push({ id });
  }
  return makeNotification(server, toSend({ users }, { channels: ['SMS'] }));
}

/** Follows a notification's events from its first on, until `count` have come; fails when the stream tells of a gap. */
export async function followEvents(server: Client, notification: string, count: number) {
  const subscription = server.subscribe(Follow, { notification });
  const events: { cursor: string; status: string; deliveryId: string }[] = [];
  while (events.length < count) {
    const { deliveryEvents: item } = await subscription.next();
    if (item.__typename === 'DeliveryEvent') {
      events.push({ cursor: item.cursor, status: item.status, deliveryId: item.delivery.id });
    } else if (item.state === 'GAP') {
      throw new Error('The stream has a gap.');
    }
  }
  await subscription.close();
  return events;
}

/** Each delivery's events in the order of the stream, such as `QUEUED SENT`, and how many deliveries have them. */
export function countStories(events: Awaited<ReturnType<typeof followEvents>>): Record<string, number> {
  const stories = [...Map.groupBy(events, ({ deliveryId }) => deliveryId).values()].map((story) =>
    story.map(({ status }) => status).join(' '),
  );
  return Object.fromEntries([...Map.groupBy(stories, (story) => story)].map(([story, all]) => [story, all.length]));
}

/** The settings that make a program send SMS to the fake. */
export const infobipSettings = (infobip: FakeInfobip) => ({
  SMS_PROVIDER: 'infobip',
  SMS_BASE_URL: infobip.baseUrl,
  SMS_FROM: 'Carillon',
  INFOBIP_API_KEY: infobip.apiKey,
});

/** Four jobs at a time with 32 sends each: what one process can have under way. */
export const inFlightMax = 128;

/** Four jobs at a time with a claim of 256 each: what one process may have taken out of the queue. */
export const inHandMax = 1_024;
