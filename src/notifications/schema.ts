import type { MessageContent } from '../channels/channel.ts';
import { contentSchema } from '../deliveries/content.ts';
import { DeliveryObject } from '../deliveries/schema.ts';
import type { Delivery, Notification } from '../generated/prisma/client.ts';
import { Purpose } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, relatedConnection, relatedPages, selects, toConnection } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, parseId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayReadAll } from '../graphql/rights.ts';
import { toShownFilter } from '../segments/filter.ts';
import { AudienceFilterInput, toLocalFilter } from '../segments/filter-schema.ts';
import { SegmentObject, segmentById } from '../segments/schema.ts';
import { sql } from '../storage/database.ts';
import { ChannelEnum, toUserReferenceInput, UserRefInput } from '../users/schema.ts';
import { type Progress, readProgressOf } from './progress.ts';
import { referencesMax, segmentsMax, sendNotification } from './send-notification.ts';
import { type Target, targetSchema } from './target.ts';

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
    PREPARING: { description: 'Its recipients are being worked out.' },
    SENDING: { description: 'It is being sent.' },
    DONE: { description: 'Nothing is left to send. Receipts may still come.' },
  },
});

const PurposeEnum = builder.enumType('Purpose', {
  description: 'Why a notification is sent.',
  values: {
    [Purpose.MARKETING]: { description: 'To win interest.' },
    [Purpose.TRANSACTIONAL]: { description: 'Because of something that the person did or must know.' },
  },
});

const ContentObject = builder.objectRef<MessageContent>('NotificationContent').implement({
  description: 'What a notification says.',
  fields: (t) => ({
    title: t.exposeString('title', { nullable: true, description: 'Title; the subject of an e-mail.' }),
    body: t.exposeString('body', { description: 'Text.' }),
    subtitle: t.exposeString('subtitle', {
      nullable: true,
      description: 'Second line of a push, where the client shows one.',
    }),
    icon: t.exposeString('icon', { nullable: true, description: 'URL of an icon.' }),
    image: t.exposeString('image', { nullable: true, description: 'URL of a picture.' }),
    url: t.exposeString('url', { nullable: true, description: 'What a click opens.' }),
    data: t.expose('data', { type: 'JSONObject', nullable: true, description: 'Travels with a push, untouched.' }),
  }),
});

const UserReferenceObject = builder.objectRef<Target['users'][number]>('UserReference').implement({
  description: 'How a target names a user.',
  fields: (t) => ({
    by: t.string({
      description: '`ID`, `PUSH_REGISTRATION_ID`, `EXTERNAL_USER_ID`, `EMAIL` or `PHONE`.',
      resolve: (reference) =>
        reference.by === 'identifier' ? reference.kind : reference.by === 'id' ? 'ID' : 'PUSH_REGISTRATION_ID',
    }),
    value: t.string({
      description: 'In normal form.',
      resolve: (reference) => (reference.by === 'identifier' ? reference.value : reference.id),
    }),
  }),
});

const TargetObject = builder.objectRef<Target>('NotificationTarget').implement({
  description: 'Whom a notification is meant for, as it was given.',
  fields: (t) => ({
    users: t.expose('users', {
      type: [UserReferenceObject],
      description: 'People, as they were named.',
      extensions: { listSizeMax: referencesMax },
    }),
    installations: t.exposeIDList('installations', { description: 'Installations, by push registration id.' }),
    segments: t.field({
      type: [SegmentObject],
      description: 'Segments; one that was deleted since is left out.',
      extensions: { listSizeMax: segmentsMax },
      resolve: async ({ segments }, _, { loaders }) =>
        (await loaders.loadMany(segmentById, segments)).filter((segment) => segment !== null),
    }),
    excludeSegments: t.field({
      type: [SegmentObject],
      description: 'Segments whose members get nothing; one that was deleted since is left out.',
      extensions: { listSizeMax: segmentsMax },
      resolve: async ({ excludeSegments }, _, { loaders }) =>
        (await loaders.loadMany(segmentById, excludeSegments)).filter((segment) => segment !== null),
    }),
    filter: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'Whom else: an `AudienceFilter` in normal form (ids are local ones).',
      resolve: ({ filter }) => toShownFilter(filter),
    }),
  }),
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

const NotificationObject = builder.prismaObject('Notification', {
  description: 'What a caller asked to be sent.',
  authScopes: { readAll: true },
  fields: (t) => ({
    status: t.field({
      type: NotificationStatus,
      description: 'Where it is on its way.',
      resolve: async ({ id, fanOutFinishedAt }, _, { loaders }) => {
        if (fanOutFinishedAt === null) return 'PREPARING' as const;
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
    target: t.field({
      type: TargetObject,
      description: 'Whom it is meant for.',
      resolve: ({ target }) => targetSchema.parse(target),
    }),
    channels: t.expose('channels', {
      type: [ChannelEnum],
      description: 'By which channels; empty: by every configured one that a user has an address for.',
    }),
    purpose: t.expose('purpose', { type: PurposeEnum, description: 'Why it is sent.' }),
    targetOnlyPrimaryDevices: t.exposeBoolean('targetOnlyPrimaryDevices', {
      description: 'Whether pushes go to primary devices only.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was accepted.' }),
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

const ContentInput = builder.inputType('NotificationContentInput', {
  description: 'What is to be said. At most 64 KiB in all.',
  fields: (t) => ({
    title: t.string({ description: 'Title; the subject of an e-mail.' }),
    body: t.string({ required: true, description: 'Text.' }),
    subtitle: t.string({ description: 'Second line of a push, where the client shows one.' }),
    icon: t.string({ description: 'http or https URL of an icon.' }),
    image: t.string({ description: 'http or https URL of a picture.' }),
    url: t.string({ description: 'http or https URL that a click opens.' }),
    data: t.field({ type: 'JSONObject', description: 'Travels with a push, untouched.' }),
  }),
});

const TargetInput = builder.inputType('NotificationTargetInput', {
  description: 'Whom it is meant for: all of these together, each address once.',
  fields: (t) => ({
    users: t.field({ type: [UserRefInput], description: 'Users. With `installations` at most 1,000.' }),
    installations: t.idList({
      description: 'Installations themselves, whoever uses them: push registration ids or global ids.',
    }),
    segments: t.idList({
      description:
        'Everybody in any of these segments, static or dynamic, when it is fanned out. Global ids, at most 100.',
    }),
    filter: t.field({
      type: AudienceFilterInput,
      description:
        'Everybody for whom this holds when it is fanned out. A push goes only to installations that fit an `installation` in it; also in the filter of a dynamic segment.',
    }),
    excludeSegments: t.idList({
      description:
        'Nobody in any of these segments, also of `users`; `installations` are meant themselves, whoever uses them. Global ids, at most 100.',
    }),
  }),
});

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
