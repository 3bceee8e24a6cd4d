import { graphql } from '../generated/gql.ts';
import type { Client } from './client.ts';

const Cancel = graphql(`
  mutation Cancel($notification: ID!, $idempotencyKey: String) {
    cancelNotification(input: { notification: $notification, idempotencyKey: $idempotencyKey }) {
      __typename
      ... on Error { code path }
      ... on CancelNotificationPayload { notification { id status cancelledAt } }
    }
  }
`);

export const cancelNotification = async (client: Client, notification: string) =>
  (await client.run(Cancel, { notification })).cancelNotification;
