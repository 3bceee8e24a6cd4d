import { contentSchema } from '../content/content.ts';
import { ContentInput, toLocalSaid } from '../content/content-schema.ts';
import { findContentWarnings, warningsMax } from '../content/find-warnings.ts';
import { WarningObject } from '../content/warning-schema.ts';
import type { Configured } from '../deliveries/app-channels.ts';
import { NotificationEventInput } from '../events/notification-event-schema.ts';
import type { Notification } from '../generated/prisma/client.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { durationArgument } from '../segments/duration.ts';
import { toField } from '../segments/filter-schema.ts';
import { ChannelEnum } from '../users/schema.ts';
import { orderOfChannels, orderOfUnnamed } from './fan-out/decide-deliveries.ts';
import { NotificationObject, notificationById, OrchestrationEnum, PurposeEnum } from './schema.ts';
import { sendNotification } from './send-notification.ts';
import { targetSchema, toAudienceFilter } from './target/target.ts';
import { TargetInput, toLocalApps, toLocalTarget } from './target/target-schema.ts';

const orderWhenUnnamed = orderOfUnnamed.join(', ');

/** By which channels a notification goes, as far as that is known before it is fanned out. */
function outletsOf({ target, channels }: Pick<Notification, 'target' | 'channels'>, configured: Configured): Channel[] {
  const parsed = targetSchema.parse(target);
  const meansUsers = parsed.users.length > 0 || toAudienceFilter(parsed) !== null;
  return meansUsers ? orderOfChannels({ channels, configured }) : ['PUSH'];
}

const QuietHoursInput = builder.inputType('QuietHoursInput', {
  description: 'Hours of a day, past midnight too: from 22:00 to 07:00.',
  fields: (t) => ({
    from: t.string({ required: true, description: 'When they begin: hours and minutes, such as 22:00.' }),
    to: t.string({ required: true, description: 'When they have ended.' }),
  }),
});

const FrequencyCapInput = builder.inputType('FrequencyCapInput', {
  description:
    'How many messages a user may have within a time. Counted are other notifications (of the same topic, if it has one), each once by whatever channels and installations, that began to be sent to the user in that time and have not failed.',
  fields: (t) => ({
    max: t.int({ required: true, description: 'So many, counting this one: 1 to 1,000.' }),
    within: t.field(toField({ type: durationArgument, isRequired: true, description: 'At most 90 days.' })),
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
      orchestration: t.field({
        type: OrchestrationEnum,
        description: `Which of the channels for a user: they are tried in the order of \`channels\`, else in this one: ${orderWhenUnnamed}. Default: ALL.`,
      }),
      fallbackAfterSeconds: t.int({
        description:
          'With FALLBACK: the next channel follows what was not opened within this time after it was due, 1 to 259,200 seconds; an SMS, of which nobody tells that it is opened, need only have arrived. Default: only a failure is followed, and what a provider has taken over is none.',
      }),
      targetOnlyPrimaryDevices: t.boolean({
        required: true,
        defaultValue: false,
        description: "Push only to users' primary devices.",
      }),
      onePerUser: t.boolean({
        description:
          'Push to one installation of each user: of those that can be reached, the one that was seen last. Default: false.',
      }),
      apps: t.idList({
        description: 'Push only to installations of these apps. Global ids, at most 100. Default: of any app.',
      }),
      subscribedFrom: t.field({
        type: 'DateTime',
        description:
          'Only to what was subscribed then or later: an installation when it got its first address, another recipient when it was added. Not asked of `target.installations`.',
      }),
      subscribedTo: t.field({ type: 'DateTime', description: 'Only to what was subscribed before this.' }),
      topic: t.id({
        description:
          'What it is about: who has declined this topic by a channel gets nothing by it (`TOPIC_OPTED_OUT`), unless the purpose is TRANSACTIONAL. An e-mail’s link to unsubscribe declines it. Global id.',
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
      trackLinks: t.boolean({
        required: true,
        defaultValue: false,
        description:
          'Whether web links lead through this gateway, which counts them as CLICKED: the `url` and those of `buttons` by any channel, and links in the text of an SMS, a WhatsApp message or an e-mail. Only to hosts that stand in `content`, its labels or `data`: not where a user, or an event, says. Needs the setting PUBLIC_URL.',
      }),
      trackOpens: t.boolean({
        required: true,
        defaultValue: false,
        description:
          'Whether an e-mail tells by an image that it was opened. Some mail programs load images for nobody, others always. Needs the setting PUBLIC_URL.',
      }),
      sendAt: t.field({
        type: 'DateTime',
        description:
          'Not before this, at most 180 days ahead. Whom the target means is frozen now, who that is, is decided then. Default: at once.',
      }),
      localTime: t.boolean({
        description:
          'At the time of day of `sendAt` in UTC, but where each user is: 2026-12-01T09:00:00Z is at nine everywhere. Where that has passed already, at once. By the zone of the user, else of the installation that a push goes to, else of that one of the user which was seen last of those that have one, else UTC. Default: false.',
      }),
      quietHours: t.field({
        type: QuietHoursInput,
        description:
          'Nothing is sent in these hours where the user is, by the same zone: it waits for their end, unless its time to live passes before.',
      }),
      frequencyCap: t.field({
        type: FrequencyCapInput,
        description:
          'Nobody gets it who has had as many messages: decided right before each send, and what is left out then ends as FREQUENCY_CAPPED. Also of a TRANSACTIONAL one, as it is asked for.',
      }),
      ttlSeconds: t.int({
        description:
          'What is not sent by then, counted from `sendAt` (with `localTime`, of each user), is not sent: 30 to 259,200 seconds. Default: 172,800 (48 hours).',
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
    resolve: async (_, { input: { target, apps, content, template, topic, ...rest } }, context) => {
      const done = await sendNotification(context, {
        ...rest,
        ...toLocalSaid({ content, template }),
        principal: principalOf(context),
        topicId: parseId(topic, 'Topic', ['topic']),
        target: toLocalTarget(target),
        apps: toLocalApps(apps),
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
        resolve: async ({ notificationId }, _, { loaders, findConfigured }) => {
          const notification = await loaders.load(notificationById, notificationId);
          if (!notification) return [];
          const channels = outletsOf(notification, await findConfigured());
          return findContentWarnings(contentSchema.parse(notification.content), { channels });
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
