import { ContentInput } from '../content/content-schema.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { toLocalFilter } from '../segments/filter-schema.ts';
import { ChannelEnum, toUserReferenceInput } from '../users/schema.ts';
import { NotificationObject, notificationById, PurposeEnum } from './schema.ts';
import { sendNotification } from './send-notification.ts';
import { TargetInput } from './target/target-schema.ts';

builder.relayMutationField(
  'sendNotification',
  {
    description: 'What is to be sent, to whom, and how.',
    inputFields: (t) => ({
      content: t.field({ type: ContentInput, required: true, description: 'What is to be said.' }),
      target: t.field({ type: TargetInput, required: true, description: 'Whom it is meant for.' }),
      channels: t.field({
        type: [ChannelEnum],
        description:
          'By which channels; a user without an address for one gets a delivery that says so. Default: every configured channel that a user has an address for.',
      }),
      targetOnlyPrimaryDevices: t.boolean({
        required: true,
        defaultValue: false,
        description: "Push only to users' primary devices.",
      }),
      purpose: t.field({ type: PurposeEnum, description: 'Default: TRANSACTIONAL.' }),
      ttlSeconds: t.int({
        description: 'What is not sent by then is not sent: 30 to 259,200 seconds. Default: 172,800 (48 hours).',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 30 days.' }),
    }),
  },
  {
    description:
      'Accepts a notification and answers at once. Follow it with `deliveryEvents` or `notificationProgress`.',
    authScopes: { write: true },
    errors: refusedWith(
      'TARGET_EMPTY',
      'LIMIT_EXCEEDED',
      'VALUE_INVALID',
      'EMAIL_INVALID',
      'PHONE_INVALID',
      'NOT_FOUND',
      'ATTRIBUTE_INVALID',
      'IDEMPOTENCY_KEY_REUSED',
    ),
    resolve: async (_, { input: { target, ...rest } }, context) => {
      const done = await sendNotification(context, {
        ...rest,
        principal: principalOf(context),
        target: {
          users: target.users?.map(toUserReferenceInput),
          installations: target.installations?.map((id, index) =>
            parseId(id, 'Installation', ['target', 'installations', String(index)]),
          ),
          segments: target.segments?.map((id, index) => parseId(id, 'Segment', ['target', 'segments', String(index)])),
          excludeSegments: target.excludeSegments?.map((id, index) =>
            parseId(id, 'Segment', ['target', 'excludeSegments', String(index)]),
          ),
          filter: target.filter && toLocalFilter(target.filter, ['target', 'filter']),
        },
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
        description: 'What was accepted.',
        resolve: ({ notificationId }, _, { loaders }) => loaders.load(notificationById, notificationId),
      }),
    }),
  },
);
