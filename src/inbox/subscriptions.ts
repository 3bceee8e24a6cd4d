import { readAccess } from '../graphql/access.ts';
import { builder } from '../graphql/builder.ts';
import { getOwnUserId, mayReadUser } from '../graphql/ownership.ts';
import { StreamPositionObject } from '../graphql/stream-position.ts';
import { InboxItemObject } from './inbox-schema.ts';
import { streamInbox } from './inbox-stream.ts';

const InboxStreamItem = builder.unionType('InboxStreamItem', {
  description: 'An item, or a word about the subscription itself.',
  types: [InboxItemObject, StreamPositionObject],
  resolveType: (item) => ('state' in item ? StreamPositionObject : InboxItemObject),
});

builder.subscriptionField('inbox', (t) =>
  t.field({
    type: InboxStreamItem,
    authScopes: { installation: true },
    description:
      "The caller's inbox as it changes: each item when it comes, and again when it was read. For installations; ends with an error when the installation is somebody else's. Comes back with the last cursor as `after` to miss and repeat nothing; after a `GAP`, read `viewer.inbox` anew.",
    args: {
      after: t.arg.string({
        description:
          'A cursor: what came after it, then RECOVERED, then live. Empty: from the oldest that is kept. Absent: from now.',
      }),
    },
    subscribe: async (_, { after }, context) => {
      const userId = await getOwnUserId(context);
      return streamInbox({ ...context, userId, after, access: readAccess(context, (now) => mayReadUser(now, userId)) });
    },
    resolve: (item) => item,
  }),
);
