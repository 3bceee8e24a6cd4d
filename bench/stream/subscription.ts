/** What every subscriber asks for. The cursor comes first, so that it stands at the same place in every frame. */
export const deliveryEvents = `
  subscription DeliveryEvents($notification: ID!, $after: String) {
    deliveryEvents(notification: $notification, after: $after) {
      ... on DeliveryEvent { cursor status reason at delivery { id } }
      ... on StreamPosition { cursor state }
    }
  }
`;

/** Nothing but what the log itself has: what a replay is measured with, beside a cursor on the same rows. */
export const loggedColumns = `
  subscription LoggedColumns($notification: ID!, $after: String) {
    deliveryEvents(notification: $notification, after: $after) {
      ... on DeliveryEvent { cursor status reason at }
      ... on StreamPosition { cursor state }
    }
  }
`;
