import type { OutboxMessage } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { parseId } from '../graphql/global-id.ts';
import { sql } from '../storage/database.ts';
import { ChannelEnum } from '../users/schema.ts';

const OutboxMessageObject = builder.objectRef<OutboxMessage>('OutboxMessage').implement({
  description: 'A message of a channel that has no provider: kept here instead of being sent.',
  authScopes: { administer: true },
  fields: (t) => ({
    channel: t.expose('channel', { type: ChannelEnum, description: 'By which channel it would have gone.' }),
    address: t.exposeString('address', { description: 'Where it would have gone.' }),
    rendered: t.field({
      type: 'JSONObject',
      description: 'What would have been sent, in the form of its channel.',
      resolve: ({ rendered }) => rendered,
    }),
    at: t.expose('renderedAt', { type: 'DateTime', description: 'When it was written here.' }),
  }),
});

builder.queryField('outboxMessages', (t) =>
  t.connection({
    type: OutboxMessageObject,
    authScopes: { administer: true },
    description: 'Messages of channels that have no provider, oldest first.',
    args: { notification: t.arg.id({ description: 'Only of this notification. Global id.' }) },
    resolve: async (_, { notification, ...args }, { db }, info) => {
      const page = parsePage(args);
      const notificationId = parseId(notification, 'Notification', ['notification']);
      const list = {
        from: sql`outbox_messages m`,
        row: sql`m.*`,
        id: sql`m.id`,
        where: sql`(${!notificationId} or m.notification_id = ${notificationId ?? null}::uuid)`,
      };
      return toConnection(
        page,
        await loadPage<OutboxMessage>(db, list, { page, withCount: selects(info, 'totalCount') }),
      );
    },
  }),
);
