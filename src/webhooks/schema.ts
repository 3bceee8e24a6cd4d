import { AppObject, appById } from '../apps/schema.ts';
import { DeliveryStatusEnum } from '../deliveries/schema.ts';
import type { Webhook } from '../generated/prisma/client.ts';
import { builder } from '../graphql/builder.ts';
import { loadPage, parsePage, selects, toConnection } from '../graphql/connection.ts';
import { refusedWith } from '../graphql/errors.ts';
import { localId, parseId } from '../graphql/global-id.ts';
import { byId, type Loader } from '../graphql/loaders.ts';
import { principalOf } from '../graphql/principal.ts';
import { sql } from '../storage/database.ts';
import { deleteWebhook, resumeWebhook } from './change-webhook.ts';
import { createWebhook } from './create-webhook.ts';

/** A webhook by id. */
const webhookById: Loader<string, Webhook | null> = byId((db, ids) =>
  db.webhook.findMany({ where: { id: { in: ids } } }),
);

const WebhookStateEnum = builder.enumType('WebhookState', {
  description: 'Whether a webhook is told of events.',
  values: {
    ACTIVE: { description: 'It is.' },
    FAILING: { description: 'It does not take them: they wait, and are tried again, less and less often, for a day.' },
    DISABLED: { description: 'It did not take them for a day, or said that it wants none (410). See `resumeWebhook`.' },
  },
});

const WebhookObject = builder.prismaObject('Webhook', {
  description:
    'An address that is told of delivery events, in order and at least once, by the convention of Standard Webhooks.',
  authScopes: { administer: true },
  fields: (t) => ({
    url: t.exposeString('url', { description: 'Where events are posted to.' }),
    events: t.expose('events', { type: [DeliveryStatusEnum], description: 'Which events are told.' }),
    app: t.field({
      type: AppObject,
      nullable: true,
      description: "Only events of deliveries to this app's installations; null: of all deliveries.",
      resolve: ({ appId }, _, { loaders }) => (appId === null ? null : loaders.load(appById, appId)),
    }),
    state: t.field({
      type: WebhookStateEnum,
      description: 'Whether it is told of events.',
      resolve: ({ disabledAt, failingSince }) => {
        if (disabledAt !== null) return 'DISABLED' as const;
        return failingSince === null ? ('ACTIVE' as const) : ('FAILING' as const);
      },
    }),
    failingSince: t.expose('failingSince', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when it has taken nothing; null: it took the last message.',
    }),
    lastFailure: t.exposeString('lastFailure', {
      nullable: true,
      description: 'What the last attempt came to, such as `503` or `ECONNREFUSED`; null: it was taken.',
    }),
    nextAttemptAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it is tried again; null: it is not failing, or disabled.',
      resolve: ({ disabledAt, failingSince, nextAttemptAt }) =>
        disabledAt === null && failingSince !== null ? nextAttemptAt : null,
    }),
    disabledAt: t.expose('disabledAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when nothing is told any more; null: it is told.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  }),
});

builder.nodeRef(WebhookObject, {
  id: { resolve: localId },
  loadWithoutCache: (id, { caller, loaders }) => (caller?.kind === 'SERVER' ? loaders.load(webhookById, id) : null),
});

/** Without the secret. */
const shownColumns = sql`
  w.id, w.url, w.events::text[], w.app_id, w.failing_since, w.last_failure, w.next_attempt_at, w.disabled_at, w.created_at`;

builder.queryField('webhooks', (t) =>
  t.connection({
    type: WebhookObject,
    authScopes: { administer: true },
    description: 'All webhooks, oldest first, also disabled ones. For server keys.',
    resolve: async (_, args, { db }, info) => {
      const page = parsePage(args);
      const list = { from: sql`webhooks w`, row: shownColumns, id: sql`w.id`, where: sql`true` };
      return toConnection(page, await loadPage<Webhook>(db, list, { page, withCount: selects(info, 'totalCount') }));
    },
  }),
);

const getWebhook = async (found: Promise<Webhook | null>): Promise<Webhook> => {
  const webhook = await found;
  if (!webhook) throw new Error('The webhook that was written is not there.');
  return webhook;
};

const idempotencyKeyDescription = 'Makes a repeat of this call harmless for 24 hours.';

builder.relayMutationField(
  'createWebhook',
  {
    description: 'A new webhook.',
    inputFields: (t) => ({
      url: t.string({
        required: true,
        description:
          'Where events are posted to: https, a public host, at most 2048 characters, no user and password. Redirects are not followed.',
      }),
      events: t.field({
        type: [DeliveryStatusEnum],
        required: true,
        description: 'Which events are told: each state that a delivery comes into. SENDING is told to nobody.',
      }),
      app: t.id({ description: "Only of deliveries to this app's installations. Global id. Default: of all." }),
      idempotencyKey: t.string({
        description: `${idempotencyKeyDescription} It answers the webhook without its secret.`,
      }),
    }),
  },
  {
    description:
      'Makes a webhook, which is told of what happens from now on: batches of events, each with the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of Standard Webhooks. What is not taken (2xx within 15 seconds) is tried again for a day, under the same `webhook-id`. Its secret is shown only now.',
    authScopes: { administer: true },
    errors: refusedWith('VALUE_INVALID', 'NOT_FOUND', 'LIMIT_EXCEEDED', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { app, ...webhook } }, context) => {
      const made = await createWebhook(
        context,
        { ...webhook, appId: parseId(app, 'App', ['app']), principal: principalOf(context) },
        context,
      );
      context.loaders.renew();
      return made;
    },
  },
  {
    description: 'The webhook and its secret.',
    outputFields: (t) => ({
      webhook: t.field({
        type: WebhookObject,
        description: 'As it was made.',
        resolve: ({ webhookId }, _, { loaders }) => getWebhook(loaders.load(webhookById, webhookId)),
      }),
      secret: t.exposeString('secret', {
        nullable: true,
        description:
          'Verifies the signatures: `whsec_` and base64. Shown only now: null for a repeat with the same idempotency key.',
      }),
    }),
  },
);

builder.relayMutationField(
  'deleteWebhook',
  {
    description: 'Which webhook.',
    inputFields: (t) => ({
      webhook: t.id({ required: true, description: 'Global id.' }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  },
  {
    description: 'Removes a webhook. A message that is under way may still arrive.',
    authScopes: { administer: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { webhook, idempotencyKey } }, context) => {
      const webhookId = parseId(webhook, 'Webhook', ['webhook']);
      const gone = await deleteWebhook(context, { webhookId, idempotencyKey, principal: principalOf(context) });
      context.loaders.renew();
      return gone;
    },
  },
  {
    description: 'What is gone.',
    outputFields: (t) => ({
      deletedWebhookId: t.globalID({
        description: 'Its global id, which names nothing any more.',
        resolve: ({ webhookId }) => ({ id: webhookId, type: 'Webhook' }),
      }),
    }),
  },
);

builder.relayMutationField(
  'resumeWebhook',
  {
    description: 'Which webhook.',
    inputFields: (t) => ({
      webhook: t.id({ required: true, description: 'Global id.' }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  },
  {
    description:
      'Has a webhook that is failing or disabled tried again at once. It goes on where it stopped; where the log is not kept as far back, its next message says that there is a `gap`.',
    authScopes: { administer: true },
    errors: refusedWith('NOT_FOUND', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: async (_, { input: { webhook, idempotencyKey } }, context) => {
      const webhookId = parseId(webhook, 'Webhook', ['webhook']);
      const done = await resumeWebhook(context, { webhookId, idempotencyKey, principal: principalOf(context) });
      context.loaders.renew();
      return done;
    },
  },
  {
    description: 'The webhook.',
    outputFields: (t) => ({
      webhook: t.field({
        type: WebhookObject,
        description: 'As it is now.',
        resolve: ({ webhookId }, _, { loaders }) => getWebhook(loaders.load(webhookById, webhookId)),
      }),
    }),
  },
);
