import { ViewerObject } from '../apps/viewer-schema.ts';
import { ContentObject } from '../content/content-schema.ts';
import { DeliveryObject, deliveryById, eventsOfDelivery } from '../deliveries/schema.ts';
import { DomainError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import { newestFirstConnection, relatedPages } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { parseId } from '../graphql/global-id.ts';
import type { Loader } from '../graphql/loaders.ts';
import { getOwnUserId, mayReadUser } from '../graphql/ownership.ts';
import { principalOf } from '../graphql/principal.ts';
import { isInstallation } from '../graphql/rights.ts';
import { sql } from '../storage/database.ts';
import { encodeCursor } from '../stream/log/cursor.ts';
import { countUnread, type InboxItem, isInboxOf } from './inbox-items.ts';
import { itemsMax, markInboxRead } from './mark-inbox-read.ts';

const itemsOfUser = relatedPages<InboxItem>({
  from: sql`inbox_items item`,
  row: sql`item.*`,
  id: sql`item.id`,
  belongs: isInboxOf(sql`parent.id`),
});

const unreadOfUser: Loader<string, number> = { load: countUnread };

export const InboxItemObject = builder.objectRef<InboxItem & { cursor?: string }>('InboxItem').implement({
  description: "A message in a user's inbox.",
  authScopes: ({ userId }, context) => mayReadUser(context, userId),
  fields: (t) => ({
    cursor: t.string({
      description: 'For `after` of the subscription `inbox`, to go on behind this item.',
      resolve: async ({ id, cursor }, _, { loaders }) => {
        if (cursor !== undefined) return cursor;
        const arrival = (await loaders.load(eventsOfDelivery, id)).find(({ status }) => status === 'SENT');
        // What is not kept any more lies before the oldest that is.
        return arrival ? encodeCursor(arrival) : '';
      },
    }),
    delivery: t.field({
      type: DeliveryObject,
      description: 'The delivery that put it there; names the item in `markInboxRead`.',
      resolve: async ({ id }, _, { loaders }) => {
        const delivery = await loaders.load(deliveryById, id);
        if (!delivery) throw new Error('An item of an inbox has no delivery.');
        return delivery;
      },
    }),
    content: t.expose('content', { type: ContentObject, description: 'What it says.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it came.' }),
    readAt: t.expose('readAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was marked as read; null: it was not yet.',
    }),
  }),
});

builder.objectField(ViewerObject, 'inbox', (t) =>
  t.connection(
    {
      type: InboxItemObject,
      nullable: true,
      description: 'The inbox of the user whose installation calls, newest first; null for other callers.',
      resolve: async (_, args, context, info) => {
        if (!isInstallation(context)) return null;
        const { loaders } = context;
        const userId = await getOwnUserId(context);
        const page = await newestFirstConnection(itemsOfUser, userId, { args, loaders, info });
        return { ...page, unreadCount: () => loaders.load(unreadOfUser, userId) };
      },
    },
    {
      name: 'InboxConnection',
      fields: (fields) => ({
        unreadCount: fields.int({
          description: 'How many items of the whole inbox were not read yet.',
          resolve: ({ unreadCount }) => unreadCount(),
        }),
      }),
    },
    { name: 'InboxEdge' },
  ),
);

builder.relayMutationField(
  'markInboxRead',
  {
    description: 'Which items were read: `deliveries`, or `all`.',
    inputFields: (t) => ({
      deliveries: t.idList({ description: `Ids of the items' deliveries, at most ${itemsMax}. Global ids.` }),
      all: t.boolean({ required: true, defaultValue: false, description: 'All that there are now.' }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      "Marks items of the caller's inbox as read; their deliveries are OPENED. For installations. What was read before keeps its time.",
    authScopes: { installation: true },
    errors: refusedWith('NOT_FOUND', 'LIMIT_EXCEEDED', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { deliveries, all, idempotencyKey } }, context) => {
      if (all === (deliveries?.length ?? 0) > 0) {
        throw new DomainError('VALUE_INVALID', 'Name deliveries, or say `all`.', ['deliveries']);
      }
      const done = await markInboxRead(context, {
        principal: principalOf(context),
        userId: await getOwnUserId(context),
        deliveryIds: all
          ? null
          : (deliveries ?? []).map((id, index) => parseId(id, 'Delivery', ['deliveries', String(index)])),
        idempotencyKey,
      });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'What is left.',
    outputFields: (t) => ({
      unreadCount: t.int({
        description: 'How many items of the whole inbox are not read yet.',
        resolve: ({ userId }, _, { loaders }) => loaders.load(unreadOfUser, userId),
      }),
    }),
  },
);
