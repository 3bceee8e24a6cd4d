import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { cancelNotification } from './cancel-notification.ts';
import { NotificationObject, notificationById } from './schema.ts';

builder.relayMutationField(
  'cancelNotification',
  {
    description: 'What is to be called off.',
    inputFields: (t) => ({
      notification: t.id({ required: true, description: 'Global id.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Calls a notification off: a scheduled one is never sent, and of one that is being sent nothing more begins. What is queued ends as CANCELLED with the reason CALLER_CANCELLED; what was sent stays sent. May be repeated. STATE_CONFLICT when nothing was left to send.',
    authScopes: { write: true },
    errors: refusedWith('NOT_FOUND', 'STATE_CONFLICT', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { notification, idempotencyKey } }, context) => {
      const done = await cancelNotification(context, {
        principal: principalOf(context),
        notificationId: parseId(notification, 'Notification', ['notification']),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The notification.',
    outputFields: (t) => ({
      notification: t.field({
        type: NotificationObject,
        nullable: true,
        description: 'The notification, CANCELLED.',
        resolve: ({ notificationId }, _, { loaders }) => loaders.load(notificationById, notificationId),
      }),
    }),
  },
);
