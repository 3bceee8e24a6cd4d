import { DeliveryEventObject } from '../deliveries/schema.ts';
import { DomainError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import { parseId } from '../graphql/global-id.ts';
import { findUserId } from '../identity/user-reference.ts';
import type { PositionItem, StreamItem } from '../stream/event-stream.ts';
import { toUserReferenceInput, UserRefInput } from '../users/schema.ts';
import { streamProgress } from './progress.ts';
import { notificationById, ProgressObject } from './schema.ts';

const StreamStateEnum = builder.enumType('StreamState', {
  description: 'What a subscriber knows from here on.',
  values: {
    LIVE: { description: 'Everything from now on will come.' },
    RECOVERED: { description: 'Everything after the given cursor has come, and everything from now on will.' },
    GAP: {
      description:
        'What followed the given cursor is no longer known. What is still kept comes next, from the oldest on.',
    },
  },
});

const StreamPositionObject = builder.objectRef<PositionItem>('StreamPosition').implement({
  description: 'Where a subscription stands. Who has seen LIVE or RECOVERED misses nothing from there on.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'For `after`, to go on from here.' }),
    state: t.expose('state', { type: StreamStateEnum, description: 'What is known from here on.' }),
  }),
});

const DeliveryStreamItem = builder.unionType('DeliveryStreamItem', {
  description: 'An event, or a word about the subscription itself.',
  types: [DeliveryEventObject, StreamPositionObject],
  resolveType: (item) => ('state' in item ? StreamPositionObject : DeliveryEventObject),
});

builder.subscriptionFields((t) => ({
  deliveryEvents: t.field({
    type: DeliveryStreamItem,
    authScopes: { server: true },
    description:
      'State changes of deliveries, each once and in order: of a notification, of a user, or all. Comes back with the last cursor as `after` to miss and repeat nothing.',
    args: {
      notification: t.arg.id({ description: 'Only of this notification. Global id.' }),
      user: t.arg({ type: UserRefInput, description: 'Only of this user; if merged, of the survivor.' }),
      after: t.arg.string({
        description:
          'A cursor: what came after it, then RECOVERED, then live. Empty: from the oldest that is kept. Absent: from now.',
      }),
    },
    subscribe: async (_, { notification, user, after }, context) => {
      const notificationId = notification ? parseId(notification, 'Notification', ['notification']) : undefined;
      const userId = user ? await findUserId(context.db, toUserReferenceInput(user), ['user']) : undefined;
      if (userId === null) throw new DomainError('NOT_FOUND', 'There is no such user.', ['user']);
      return context.hub.events({ ...(notificationId && { notificationId }), ...(userId && { userId }) }, { after });
    },
    resolve: (item: StreamItem, _, { loaders }) => {
      loaders.renew();
      return item.kind === 'position' ? item : { ...item.entry, cursor: item.cursor };
    },
  }),
  notificationProgress: t.field({
    type: ProgressObject,
    authScopes: { server: true },
    description:
      'Totals of a notification as they change: at once, then at most four times a second; ends after the last.',
    args: { notification: t.arg.id({ required: true, description: 'Global id.' }) },
    subscribe: async (_, { notification }, { hub, db, log, loaders }) => {
      const notificationId = parseId(notification, 'Notification', ['notification']);
      if (!(await loaders.load(notificationById, notificationId))) {
        throw new DomainError('NOT_FOUND', 'There is no such notification.', ['notification']);
      }
      return streamProgress({ hub, db, log, notificationId });
    },
    resolve: (progress) => progress,
  }),
}));
