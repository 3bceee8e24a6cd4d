import { DeliveryReasonEnum } from '../deliveries/schema.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { passingReasons, replayableReasons, replayDeliveries, replayMax } from './replay-deliveries.ts';
import { NotificationObject, notificationById } from './schema.ts';

builder.relayMutationField(
  'replayDeliveries',
  {
    description: 'What is to be sent again: of a notification what ended so, or deliveries by name.',
    inputFields: (t) => ({
      notification: t.id({ description: 'All of this notification, 1,000 deliveries a call. Global id.' }),
      deliveries: t.idList({ description: 'These, all or none: at most 1,000. Global ids.' }),
      reasons: t.field({
        type: [DeliveryReasonEnum],
        description: `Only what ended for one of these reasons, out of ${replayableReasons.join(', ')}. Default: of a notification ${passingReasons.join(', ')}, of deliveries all of them.`,
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Queues deliveries again that have ended FAILED, BOUNCED, DISCARDED or EXPIRED for a reason that may have passed. Each is the same delivery, with another QUEUED event and a new count of attempts; whether it may be sent is decided at its turn. The time to live of its notification begins anew. STATE_CONFLICT for what was called off, and for a delivery that has not ended so.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'STATE_CONFLICT', 'VALUE_INVALID', 'LIMIT_EXCEEDED', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { notification, deliveries, reasons, idempotencyKey } }, context) => {
      const done = await replayDeliveries(context, {
        principal: principalOf(context),
        notificationId: parseId(notification, 'Notification', ['notification']),
        deliveryIds: deliveries?.map((id, index) => parseId(id, 'Delivery', ['deliveries', String(index)])),
        reasons,
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'What is queued again.',
    outputFields: (t) => ({
      count: t.int({ description: 'Deliveries.', resolve: ({ count }) => count }),
      hasMore: t.boolean({
        description: 'Whether the notification may have more of them: call again then.',
        resolve: ({ hasMore }) => hasMore,
      }),
      notifications: t.field({
        type: [NotificationObject],
        description: 'Whose deliveries they are.',
        extensions: { listSizeMax: replayMax },
        resolve: async ({ notificationIds }, _, { loaders }) =>
          (await loaders.loadMany(notificationById, notificationIds)).filter((found) => found !== null),
      }),
    }),
  },
);
