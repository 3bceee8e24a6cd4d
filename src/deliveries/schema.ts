import type { Delivery, DeliveryEvent } from '../generated/prisma/client.ts';
import { DeliveryEventStatus, DeliveryReason, DeliveryStatus } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, relatedConnection, relatedPages, selects, toConnection } from '../graphql/connection.ts';
import type { Context } from '../graphql/context.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, parseId, toLocalId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { mayReadUser } from '../graphql/ownership.ts';
import { findUserId } from '../identity/user-reference.ts';
import { RecipientInterface, recipientById } from '../recipients/schema.ts';
import { camelCaseKeys, sql } from '../storage/database.ts';
import { encodeCursor } from '../stream/log/cursor.ts';
import { ChannelEnum, toUserReferenceInput, UserObject, UserRefInput, userById } from '../users/schema.ts';
import { reasonWords } from './reason-words.ts';
import { reportDelivery } from './report-delivery.ts';

/** A delivery by id. */
export const deliveryById: Loader<string, Delivery | null> = byId((db, ids) =>
  db.delivery.findMany({ where: { id: { in: ids } } }),
);

// Deliveries keep the user that they were made for, so a survivor's are read through the tombstones.
const deliveriesOfUser = relatedPages<Delivery>({
  from: sql`deliveries d`,
  row: sql`d.*`,
  id: sql`d.id`,
  belongs: sql`d.user_id in (select id from users where parent.id in (id, merged_into_id))`,
});

/** The events of a delivery, oldest first. */
export const eventsOfDelivery: Loader<string, (DeliveryEvent & { epoch: string })[]> = {
  async load(db, ids) {
    const rows = await db.$queryRaw<{ delivery_id: string }[]>(sql`
      select e.*, log.epoch from delivery_events e cross join delivery_log log
      where e.delivery_id = any(${ids}::uuid[])
      order by e.position
    `);
    const byDelivery = Map.groupBy(rows, (row) => row.delivery_id);
    return ids.map((id) =>
      (byDelivery.get(id) ?? []).map((row) => camelCaseKeys<DeliveryEvent & { epoch: string }>(row)),
    );
  },
};

export const DeliveryStatusEnum = builder.enumType('DeliveryStatus', {
  description: 'How far a delivery has come. No receipt ever moves it backwards.',
  values: {
    [DeliveryStatus.QUEUED]: { description: 'Waits to be sent, or to be tried again.' },
    [DeliveryStatus.SENDING]: { description: 'A worker is at it.' },
    [DeliveryStatus.SENT]: { description: 'The provider took it over. Many providers never tell more.' },
    [DeliveryStatus.DELIVERED]: { description: 'It arrived.' },
    [DeliveryStatus.OPENED]: { description: 'It was opened.' },
    [DeliveryStatus.CLICKED]: { description: 'Something in it was clicked.' },
    [DeliveryStatus.FAILED]: { description: 'An end: it could not be sent.' },
    [DeliveryStatus.BOUNCED]: { description: 'An end: it came back.' },
    [DeliveryStatus.DISCARDED]: { description: 'An end: it was not sent, on purpose.' },
    [DeliveryStatus.EXPIRED]: { description: 'An end: its time to live passed before it was sent.' },
    [DeliveryStatus.CANCELLED]: { description: 'An end: it was called off before it was sent.' },
  },
});

const DeliveryEventStatusEnum = builder.enumType('DeliveryEventStatus', {
  description: 'What happened to a delivery.',
  values: {
    [DeliveryEventStatus.QUEUED]: { description: 'It was made.' },
    [DeliveryEventStatus.SENT]: { description: 'The provider took it over.' },
    [DeliveryEventStatus.DELIVERED]: { description: 'It arrived.' },
    [DeliveryEventStatus.OPENED]: { description: 'It was opened.' },
    [DeliveryEventStatus.CLICKED]: { description: 'Something in it was clicked.' },
    [DeliveryEventStatus.DISMISSED]: { description: 'It was put away unopened. Changes no status.' },
    [DeliveryEventStatus.FAILED]: { description: 'It could not be sent.' },
    [DeliveryEventStatus.BOUNCED]: { description: 'It came back.' },
    [DeliveryEventStatus.DISCARDED]: { description: 'It was not sent, on purpose.' },
    [DeliveryEventStatus.EXPIRED]: { description: 'Its time to live passed before it was sent.' },
    [DeliveryEventStatus.CANCELLED]: { description: 'It was called off before it was sent.' },
  },
});

export const DeliveryReasonEnum = builder.enumType(DeliveryReason, {
  name: 'DeliveryReason',
  description: 'Why a delivery ended as it did.',
  values: Object.fromEntries(Object.entries(reasonWords).map(([reason, description]) => [reason, { description }])),
});

export const DeliveryObject = builder.prismaObject('Delivery', {
  description: 'What became of one notification at one recipient.',
  authScopes: (delivery, context) => ownsDelivery(context, delivery),
  fields: (t) => ({
    channel: t.expose('channel', {
      type: ChannelEnum,
      nullable: true,
      description: 'By which channel; null when nobody was found.',
    }),
    status: t.expose('status', { type: DeliveryStatusEnum, description: 'How far it has come.' }),
    reason: t.expose('reason', {
      type: DeliveryReasonEnum,
      nullable: true,
      description: 'Why it ended so; null unless it did.',
    }),
    providerCode: t.exposeString('providerCode', {
      nullable: true,
      description: "The provider's own word for its last answer.",
    }),
    attempts: t.exposeInt('attempts', { description: 'Sends begun since it was queued last.' }),
    variation: t.exposeInt('variation', {
      nullable: true,
      description:
        "Which variation of the notification's content it was last sent with, by its place from 0; null: what is said to everybody, or it was not sent.",
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was queued.' }),
    updatedAt: t.expose('statusAt', { type: 'DateTime', description: 'When it came into its present status.' }),
    user: t.field({
      type: UserObject,
      nullable: true,
      description: 'For whom; if merged since, the survivor. Null for an unknown user.',
      resolve: ({ userId }, _, { loaders }) => (userId === null ? null : loaders.load(userById, userId)),
    }),
    recipient: t.field({
      type: RecipientInterface,
      nullable: true,
      authScopes: { readAll: true },
      description: 'At which address; null when there was none. For server keys.',
      resolve: ({ recipientId }, _, { loaders }) =>
        recipientId === null ? null : loaders.load(recipientById, recipientId),
    }),
  }),
});

/** An event as it is shown. */
type ShownEvent = Pick<DeliveryEvent, 'deliveryId' | 'status' | 'reason' | 'at'> & { cursor: string };

export const DeliveryEventObject = builder.objectRef<ShownEvent>('DeliveryEvent').implement({
  description: 'One state change of one delivery.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'Where it stands in the log; for `after` of `deliveryEvents`.' }),
    status: t.expose('status', { type: DeliveryEventStatusEnum, description: 'What happened.' }),
    reason: t.expose('reason', { type: DeliveryReasonEnum, nullable: true, description: 'Why it ended, if it did.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it happened; for a receipt, as the receiver told it.' }),
    delivery: t.field({
      type: DeliveryObject,
      description: 'The delivery, as it is now.',
      resolve: ({ deliveryId }, _, { loaders }) => getDelivery(loaders.load(deliveryById, deliveryId)),
    }),
  }),
});

builder.prismaObjectField(DeliveryObject, 'events', (t) =>
  t.field({
    type: [DeliveryEventObject],
    description: 'Its story, oldest first, as far back as the log is kept.',
    resolve: async ({ id }, _, { loaders }) =>
      (await loaders.load(eventsOfDelivery, id)).map((event) => ({ ...event, cursor: encodeCursor(event) })),
  }),
);

builder.nodeRef(DeliveryObject, {
  id: { resolve: localId },
  loadWithoutCache: async (id, context) => {
    const delivery = await context.loaders.load(deliveryById, id);
    return delivery && (await ownsDelivery(context, delivery)) ? delivery : null;
  },
});

/** A delivery is its user's to see, also when that user was merged since. */
async function ownsDelivery(context: Context, { id, userId }: Delivery): Promise<boolean> {
  return context.reportedDeliveryIds.has(id) || mayReadUser(context, userId);
}

async function getDelivery(found: Promise<Delivery | null>): Promise<Delivery> {
  const delivery = await found;
  if (!delivery) throw new Error('An event has no delivery.');
  return delivery;
}

builder.prismaObjectField(UserObject, 'deliveries', (t) =>
  t.connection({
    type: DeliveryObject,
    description: 'What was sent to the user, oldest first, also before a merge.',
    resolve: ({ id }, args, { loaders }, info) => relatedConnection(deliveriesOfUser, id, { args, loaders, info }),
  }),
);

builder.queryField('delivery', (t) =>
  t.field({
    type: DeliveryObject,
    nullable: true,
    authScopes: { readSome: true },
    description: 'A delivery; null when there is none, or none that this caller may see.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: async (_, args, context) => {
      const id = toLocalId(args.id, 'Delivery');
      const delivery = id === null ? null : await context.loaders.load(deliveryById, id);
      return delivery && (await ownsDelivery(context, delivery)) ? delivery : null;
    },
  }),
);

builder.queryField('deliveries', (t) =>
  t.connection({
    type: DeliveryObject,
    authScopes: { readAll: true },
    description: 'Deliveries, oldest first: of a notification, of a user, or all.',
    args: {
      notification: t.arg.id({ description: 'Only of this notification. Global id.' }),
      user: t.arg({ type: UserRefInput, description: 'Only of this user, also before a merge.' }),
    },
    resolve: async (_, { notification, user, ...args }, { db }, info) => {
      const page = parsePage(args);
      const notificationId = parseId(notification, 'Notification', ['notification']);
      const userId = user && (await findUserId(db, toUserReferenceInput(user), ['user']));
      const list = {
        from: sql`deliveries d`,
        row: sql`d.*`,
        id: sql`d.id`,
        where: sql`true
          ${notificationId ? sql`and d.notification_id = ${notificationId}::uuid` : sql``}
          ${user ? sql`and d.user_id in (select id from users where ${userId}::uuid in (id, merged_into_id))` : sql``}
        `,
      };
      return toConnection(page, await loadPage<Delivery>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
);

const ReceiptEnum = builder.enumType('Receipt', {
  description: 'What a receiver can tell.',
  values: {
    DELIVERED: { description: 'It arrived.' },
    OPENED: { description: 'It was opened.' },
    CLICKED: { description: 'Something in it was clicked.' },
    DISMISSED: { description: 'It was put away unopened.' },
  },
});

builder.relayMutationField(
  'reportDelivery',
  {
    description: 'What happened to a delivery.',
    inputFields: (t) => ({
      delivery: t.id({ required: true, description: 'Global id, or the `deliveryId` that travelled inside the push.' }),
      status: t.field({ type: ReceiptEnum, required: true, description: 'What happened.' }),
      at: t.field({ type: 'DateTime', description: 'When it happened. Default: now.' }),
      receiptToken: t.string({
        description: 'The one that travelled inside the push; stands in for other credentials.',
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Tells what became of a delivery. For the installation that it went to, a server key, or the holder of its receipt token. What is told late or twice changes nothing.',
    authScopes: { anyone: true },
    errors: refusedWith('NOT_FOUND', 'TOKEN_INVALID', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { delivery, ...report } }, context) => {
      const done = await reportDelivery(context, context.caller, {
        ...report,
        deliveryId: parseId(delivery, 'Delivery', ['delivery']),
      });
      context.loaders.renew();
      context.reportedDeliveryIds.add(done.deliveryId);
      return done;
    },
  },
  {
    description: 'The delivery.',
    outputFields: (t) => ({
      delivery: t.field({
        type: DeliveryObject,
        description: 'The delivery, as it is now.',
        resolve: ({ deliveryId }, _, { loaders }) => getDelivery(loaders.load(deliveryById, deliveryId)),
      }),
    }),
  },
);
