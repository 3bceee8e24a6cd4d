import { contentSchema } from '../content/content.ts';
import { ContentObject } from '../content/content-schema.ts';
import { readFrequencyCap } from '../deliveries/frequency-cap.ts';
import { DeliveryObject } from '../deliveries/schema.ts';
import { eventSchema, type SentEvent } from '../events/parse-event.ts';
import type { Delivery, Notification } from '../generated/prisma/client.ts';
import { Orchestration, Purpose } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, relatedConnection, relatedPages, selects, toConnection } from '../graphql/connection.ts';
import { localId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { sql } from '../storage/database.ts';
import { TopicObject, topicById } from '../topics/schema.ts';
import { ChannelEnum } from '../users/schema.ts';
import { type Progress, readProgressOf } from './progress.ts';
import { type QuietHours, readQuietHours } from './schedule.ts';
import { targetSchema } from './target/target.ts';
import { TargetObject } from './target/target-schema.ts';

/** A notification by id. */
export const notificationById: Loader<string, Notification | null> = byId((db, ids) =>
  db.notification.findMany({ where: { id: { in: ids } } }),
);

const progressOfNotification: Loader<string, Progress | null> = { load: (db, ids) => readProgressOf(db, ids) };

const deliveriesOfNotification = relatedPages<Delivery>({
  from: sql`deliveries d`,
  row: sql`d.*`,
  id: sql`d.id`,
  belongs: sql`d.notification_id = parent.id`,
});

const NotificationStatus = builder.enumType('NotificationStatus', {
  description: 'Where a notification is on its way.',
  values: {
    SCHEDULED: { description: 'It waits for its time.' },
    PREPARING: { description: 'Its recipients are being worked out.' },
    SENDING: { description: 'It is being sent.' },
    DONE: { description: 'Nothing is left to send. Receipts may still come.' },
    CANCELLED: { description: 'The sender called it off. What had been sent before stays sent.' },
  },
});

const ReachedObject = builder.objectRef<Progress['reached']>('NotificationReached').implement({
  description: 'How many deliveries have ever come how far. What was opened also counts as delivered and sent.',
  fields: (t) => ({
    sent: t.exposeInt('sent', { description: 'Taken over by a provider.' }),
    delivered: t.exposeInt('delivered', { description: 'Arrived.' }),
    opened: t.exposeInt('opened', { description: 'Opened by the person.' }),
    clicked: t.exposeInt('clicked', { description: 'A link or button of it was clicked.' }),
  }),
});

export const ProgressObject = builder.objectRef<Progress>('NotificationProgress').implement({
  description: 'How many deliveries are in which status now. The counts add up to `total`.',
  fields: (t) => ({
    total: t.exposeInt('total', { description: 'Deliveries made so far.' }),
    queued: t.exposeInt('queued', { description: 'Waiting.' }),
    sending: t.exposeInt('sending', { description: 'Being sent.' }),
    sent: t.exposeInt('sent', { description: 'Taken over by a provider, and nothing more is known.' }),
    delivered: t.exposeInt('delivered', { description: 'Arrived.' }),
    opened: t.exposeInt('opened', { description: 'Opened by the person.' }),
    clicked: t.exposeInt('clicked', { description: 'A link or button of it was clicked.' }),
    failed: t.exposeInt('failed', { description: 'Could not be sent.' }),
    bounced: t.exposeInt('bounced', { description: 'Came back.' }),
    discarded: t.exposeInt('discarded', { description: 'Not sent, on purpose.' }),
    expired: t.exposeInt('expired', { description: 'Not sent in time.' }),
    cancelled: t.exposeInt('cancelled', { description: 'Called off.' }),
    reached: t.expose('reached', { type: ReachedObject, description: 'How many have ever come how far.' }),
    isComplete: t.exposeBoolean('isComplete', { description: 'Nothing is left to send. Receipts may still come.' }),
  }),
});

export const PurposeEnum = builder.enumType('Purpose', {
  description: 'Why a notification is sent.',
  values: {
    [Purpose.MARKETING]: { description: 'To win interest.' },
    [Purpose.TRANSACTIONAL]: { description: 'Because of something that the person did or must know.' },
  },
});

export const OrchestrationEnum = builder.enumType('Orchestration', {
  description: 'Which of its channels a notification takes for a user.',
  values: {
    [Orchestration.ALL]: { description: 'All at once.' },
    [Orchestration.PREFERRED]: {
      description:
        "One: the user's preferred channel, if it is one of them and the user can be reached there, else the first of them at which that is so. Where `channels` does not name WHATSAPP, it is none of them, whoever prefers it.",
    },
    [Orchestration.FALLBACK]: {
      description:
        'One after the other, those at which the user cannot be reached left out: the next one follows when all deliveries by one have ended without success, or none was opened within `fallbackAfterSeconds`.',
    },
  },
});

const QuietHoursObject = builder.objectRef<QuietHours>('QuietHours').implement({
  description: 'Hours of a day, past midnight too.',
  authScopes: { readAll: true },
  fields: (t) => ({
    from: t.exposeString('from', { description: 'When they begin: hours and minutes, such as 22:00.' }),
    to: t.exposeString('to', { description: 'When they have ended.' }),
  }),
});

const NotificationEventObject = builder.objectRef<SentEvent>('NotificationEvent').implement({
  description: 'What people did, because of which they are written to.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it is called.' }),
    properties: t.expose('properties', { type: 'JSONObject', description: 'What is known of it.' }),
  }),
});

export const NotificationObject = builder.prismaObject('Notification', {
  description: 'What a caller asked to be sent.',
  authScopes: { readAll: true },
  fields: (t) => ({
    status: t.field({
      type: NotificationStatus,
      description: 'Where it is on its way.',
      resolve: async ({ id, startsAt, cancelledAt, fanOutFinishedAt }, _, { loaders }) => {
        if (cancelledAt !== null) return 'CANCELLED' as const;
        if (fanOutFinishedAt === null) return startsAt > new Date() ? ('SCHEDULED' as const) : ('PREPARING' as const);
        return (await getProgress(loaders.load(progressOfNotification, id))).isComplete
          ? ('DONE' as const)
          : ('SENDING' as const);
      },
    }),
    content: t.field({
      type: ContentObject,
      description: 'What it says.',
      resolve: ({ content }) => contentSchema.parse(content),
    }),
    data: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'What its texts may name as `data`, beside what the content itself says.',
      resolve: ({ data }) => data,
    }),
    target: t.field({
      type: TargetObject,
      description: 'Whom it is meant for.',
      resolve: ({ target }) => targetSchema.parse(target),
    }),
    channels: t.expose('channels', {
      type: [ChannelEnum],
      description: 'By which channels; empty: by every configured one, but WHATSAPP, that a user has an address for.',
    }),
    orchestration: t.expose('orchestration', { type: OrchestrationEnum, description: 'Which of them for a user.' }),
    fallbackAfterSeconds: t.exposeInt('fallbackAfterSeconds', {
      nullable: true,
      description: 'With FALLBACK: how long a channel has to be opened; null: the next one follows a failure only.',
    }),
    purpose: t.expose('purpose', { type: PurposeEnum, description: 'Why it is sent.' }),
    topic: t.field({
      type: TopicObject,
      nullable: true,
      description: 'What it is about; null also when the topic was deleted since.',
      resolve: ({ topicId }, _, { loaders }) => (topicId === null ? null : loaders.load(topicById, topicId)),
    }),
    event: t.field({
      type: NotificationEventObject,
      nullable: true,
      description: 'What its users did, because of which it is sent.',
      resolve: ({ event }) => (event === null ? null : eventSchema.parse(event)),
    }),
    targetOnlyPrimaryDevices: t.exposeBoolean('targetOnlyPrimaryDevices', {
      description: 'Whether pushes go to primary devices only.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was accepted.' }),
    sendAt: t.expose('sendAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it is to be sent; null: at once.',
    }),
    localTime: t.exposeBoolean('localTime', {
      description: 'Whether it is sent at the time of day of `sendAt`, in UTC, where each user is.',
    }),
    quietHours: t.field({
      type: QuietHoursObject,
      nullable: true,
      description: 'Hours in which nothing is sent, where each user is; null: there are none.',
      resolve: ({ quietHours }) => readQuietHours(quietHours),
    }),
    frequencyCap: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'How many messages a user may have within a time, as it was given; null: any number.',
      resolve: ({ frequencyCap }) => readFrequencyCap(frequencyCap),
    }),
    cancelledAt: t.expose('cancelledAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was called off; null: it was not.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'What is not sent by then is not sent.' }),
    progress: t.field({
      type: ProgressObject,
      description: 'Totals of its deliveries.',
      resolve: ({ id }, _, { loaders }) => getProgress(loaders.load(progressOfNotification, id)),
    }),
    deliveries: t.connection({
      type: DeliveryObject,
      description: 'Its deliveries, oldest first.',
      resolve: ({ id }, args, { loaders }, info) =>
        relatedConnection(deliveriesOfNotification, id, { args, loaders, info }),
    }),
  }),
});

async function getProgress(found: Promise<Progress | null>): Promise<Progress> {
  const progress = await found;
  if (!progress) throw new Error('A notification has no progress.');
  return progress;
}

builder.nodeRef(NotificationObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, context) => (mayReadAll(context) ? context.loaders.load(notificationById, id) : null),
});

builder.prismaObjectField(DeliveryObject, 'notification', (t) =>
  t.field({
    type: NotificationObject,
    nullable: true,
    authScopes: { readAll: true },
    description: 'What was sent. For server keys.',
    resolve: ({ notificationId }, _, { loaders }) => loaders.load(notificationById, notificationId),
  }),
);

builder.queryFields((t) => ({
  notification: t.field({
    type: NotificationObject,
    nullable: true,
    authScopes: { readAll: true },
    description: 'A notification; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: (_, args, { loaders }) => {
      const id = toLocalId(args.id, 'Notification');
      return id === null ? null : loaders.load(notificationById, id);
    },
  }),
  notifications: t.connection({
    type: NotificationObject,
    authScopes: { readAll: true },
    description: 'All notifications, oldest first.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`notifications n`, row: sql`n.*`, id: sql`n.id`, where: sql`true` };
      return toConnection(
        page,
        await loadPage<Notification>(db, list, { page, withCount: selects(info, 'totalCount') }),
      );
    },
  }),
}));
