import { contentSchema } from '../content/content.ts';
import { ContentInput, toLocalSaid } from '../content/content-schema.ts';
import { findContentWarnings, warningsMax } from '../content/find-warnings.ts';
import { WarningObject } from '../content/warning-schema.ts';
import { eventNameDescription, eventPropertiesDescription } from '../events/events-schema.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { toLocalFilter } from '../segments/filter-schema.ts';
import { ChannelEnum, toUserReferenceInput } from '../users/schema.ts';
import { NotificationObject, notificationById, PurposeEnum } from './schema.ts';
import { sendNotification } from './send-notification.ts';
import { TargetInput } from './target-schema.ts';

const NotificationEventInput = builder.inputType('NotificationEventInput', {
  description: 'What people did, because of which they are written to.',
  fields: (t) => ({
    name: t.string({ required: true, description: eventNameDescription }),
    properties: t.field({ type: 'JSONObject', description: eventPropertiesDescription }),
  }),
});

builder.relayMutationField(
  'sendNotification',
  {
    description: 'What is to be sent, to whom, and how.',
    inputFields: (t) => ({
      content: t.field({ type: ContentInput, description: 'What is to be said. Exactly one of this and `template`.' }),
      template: t.id({
        description:
          'What is to be said, as the template of this global id or name has it now: a later change of it changes nothing.',
      }),
      data: t.field({ type: 'JSONObject', description: 'What texts may name: `{{ data.x }}`. At most 64 KiB.' }),
      target: t.field({ type: TargetInput, required: true, description: 'Whom it is meant for.' }),
      channels: t.field({
        type: [ChannelEnum],
        description:
          'By which channels; a user without an address for one gets a delivery that says so. WHATSAPP goes to the phones of SMS, and only if it is named. Default: every other configured channel that a user has an address for.',
      }),
      targetOnlyPrimaryDevices: t.boolean({
        required: true,
        defaultValue: false,
        description: "Push only to users' primary devices.",
      }),
      topic: t.id({
        description:
          'What it is about: who has declined this topic by a channel gets nothing by it (`TOPIC_OPTED_OUT`), unless the purpose is TRANSACTIONAL. Global id.',
      }),
      purpose: t.field({
        type: PurposeEnum,
        description: 'Default: MARKETING with a topic, TRANSACTIONAL without one.',
      }),
      event: t.field({
        type: NotificationEventInput,
        description:
          'What the users that the target names in `users` have just done: it is tracked for each of them, as by `trackEvents`, if and only if this is accepted. Refused where there are none.',
      }),
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
    resolve: async (_, { input: { target, content, template, topic, ...rest } }, context) => {
      const done = await sendNotification(context, {
        ...rest,
        ...toLocalSaid({ content, template }),
        principal: principalOf(context),
        topicId: topic && parseId(topic, 'Topic', ['topic']),
        target: {
          users: target.users?.map(toUserReferenceInput),
          installations: target.installations?.map((id, index) =>
            parseId(id, 'Installation', ['target', 'installations', String(index)]),
          ),
          segments: target.segments?.map((id, index) => parseId(id, 'Segment', ['target', 'segments', String(index)])),
          excludeSegments: target.excludeSegments?.map((id, index) =>
            parseId(id, 'Segment', ['target', 'excludeSegments', String(index)]),
          ),
          topic: target.topic && parseId(target.topic, 'Topic', ['target', 'topic']),
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
      warnings: t.field({
        type: [WarningObject],
        description:
          'What clients drop or cut of it, as far as it can be told before it is rendered; `previewNotification` tells the rest.',
        extensions: { listSizeMax: warningsMax },
        resolve: async ({ notificationId }, _, { loaders }) => {
          const notification = await loaders.load(notificationById, notificationId);
          return notification ? findContentWarnings(contentSchema.parse(notification.content), notification) : [];
        },
      }),
      notification: t.field({
        type: NotificationObject,
        nullable: true,
        description: 'What was accepted.',
        resolve: ({ notificationId }, _, { loaders }) => loaders.load(notificationById, notificationId),
      }),
    }),
  },
);
