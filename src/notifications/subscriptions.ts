import { DeliveryEventObject } from '../deliveries/schema.ts';
import { DomainError } from '../errors.ts';
import { readAccess } from '../graphql/access.ts';
import { builder } from '../graphql/builder.ts';
import type { Context } from '../graphql/context.ts';
import { parseId } from '../graphql/global-id.ts';
import { getOwnUserId, mayReadUser } from '../graphql/ownership.ts';
import { refuseCaller } from '../graphql/refuse-caller.ts';
import { isScoped, mayReadAll } from '../graphql/rights.ts';
import { StreamPositionObject } from '../graphql/stream-position.ts';
import { findUserId, type UserReferenceInput } from '../identity/user-reference.ts';
import type { StreamItem } from '../stream/hub/event-stream.ts';
import { toUserReferenceInput, UserRefInput, userById } from '../users/schema.ts';
import { streamProgress } from './progress.ts';
import { notificationById, ProgressObject } from './schema.ts';

const DeliveryStreamItem = builder.unionType('DeliveryStreamItem', {
  description: 'An event, or a word about the subscription itself.',
  types: [DeliveryEventObject, StreamPositionObject],
  resolveType: (item) => ('state' in item ? StreamPositionObject : DeliveryEventObject),
});

builder.subscriptionFields((t) => ({
  deliveryEvents: t.field({
    type: DeliveryStreamItem,
    authScopes: { readSome: true },
    description:
      'State changes of deliveries, each once and in order: of a notification, of a user, or all. Comes back with the last cursor as `after` to miss and repeat nothing. An installation follows its own user only, and is told by an error when that ends.',
    args: {
      notification: t.arg.id({ description: 'Only of this notification. Global id.' }),
      user: t.arg({
        type: UserRefInput,
        description:
          'Only of this user; if merged, of the survivor. Absent, and the caller is an installation: its own.',
      }),
      after: t.arg.string({
        description:
          'A cursor: what came after it, then RECOVERED, then live. Empty: from the oldest that is kept. Absent: from now.',
      }),
    },
    subscribe: async (_, { notification, user, after }, context) => {
      const notificationId = notification ? await getNotificationId(context, notification) : undefined;
      const userId = await getUserId(context, user ? toUserReferenceInput(user) : null);
      const topic = { ...(notificationId && { notificationId }), ...(userId && { userId }) };
      return context.hub.events(topic, { after, access: readAccess(context, (now) => mayReadDeliveries(now, userId)) });
    },
    resolve: (item: StreamItem, _, context) => {
      if (item.kind === 'position') return item;
      const event = { ...item.entry, cursor: item.cursor };
      return isScoped(context) ? withinScope(context, event) : event;
    },
  }),
  notificationProgress: t.field({
    type: ProgressObject,
    authScopes: { readAll: true },
    description:
      'Totals of a notification as they change: at once, then at most four times a second; ends after the last.',
    args: { notification: t.arg.id({ required: true, description: 'Global id.' }) },
    subscribe: async (_, { notification }, context) => {
      const notificationId = await getNotificationId(context, notification);
      return streamProgress({ ...context, notificationId, access: readAccess(context) });
    },
    resolve: (progress) => progress,
  }),
}));

/** A user who leaves a scope leaves no mark by which the stream would end: each event is looked at. */
async function withinScope<Event extends { userId: string | null }>(context: Context, event: Event): Promise<Event> {
  if (await mayReadUser(context, event.userId)) return event;
  throw refuseCaller(context.caller);
}

/** An installation is not told whether a notification exists: of one that does not, its user has no deliveries. */
async function getNotificationId(context: Context, globalId: string): Promise<string> {
  const id = parseId(globalId, 'Notification', ['notification']);
  if (mayReadAll(context) && !(await context.loaders.load(notificationById, id))) {
    throw new DomainError('NOT_FOUND', 'There is no such notification.', ['notification']);
  }
  return id;
}

/** Whose deliveries are meant; null: everybody's. A user that the caller may not see is as one that does not exist. */
async function getUserId(context: Context, reference: UserReferenceInput | null): Promise<string | null> {
  if (!reference) return mayReadAll(context) ? null : getOwnUserId(context);
  const userId = await findUserId(context.db, reference, ['user']);
  if (userId === null || !(await mayReadDeliveries(context, userId))) {
    throw new DomainError('NOT_FOUND', 'There is no such user.', ['user']);
  }
  return userId;
}

/** Whether the caller may see what becomes of a user's deliveries; null: of everybody's. */
async function mayReadDeliveries(context: Context, userId: string | null): Promise<boolean> {
  const user = userId === null ? null : await context.loaders.load(userById, userId);
  return mayReadUser(context, user?.id ?? null);
}
