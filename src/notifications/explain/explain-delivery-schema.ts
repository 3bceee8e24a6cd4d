import { DeliveryObject, deliveryById } from '../../deliveries/schema.ts';
import { builder } from '../../graphql/builder.ts';
import { toLocalId } from '../../graphql/global-id.ts';
import { referencesMax } from '../target/parse-target.ts';
import { type Explanation, explainDelivery, stepsMax } from './explain-delivery.ts';
import type { Origin } from './origin.ts';
import type { NextStep, Step } from './story.ts';

const OriginObject = builder.objectRef<Origin>('DeliveryOrigin').implement({
  description: 'One way in which the target means who got a delivery.',
  authScopes: { readAll: true },
  fields: (t) => ({
    code: t.exposeString('code', {
      description:
        '`EVERYONE`, `NAMED_USER`, `NAMED_INSTALLATION`, `SEGMENT`, `TOPIC`, `FILTER`, `UNKNOWN_USER`, or `NO_LONGER`.',
    }),
    text: t.exposeString('text', { description: 'In a sentence. Its words may change.' }),
  }),
});

const StepObject = builder.objectRef<Step>('DeliveryStep').implement({
  description: 'One thing that happened to a delivery.',
  authScopes: { readAll: true },
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When.' }),
    code: t.exposeString('code', {
      description: 'A `DeliveryEventStatus`, or `RETRY`: an attempt did not get through.',
    }),
    text: t.exposeString('text', { description: 'In a sentence. Its words may change.' }),
    providerCode: t.exposeString('providerCode', {
      nullable: true,
      description: "The provider's own word, if it is known.",
    }),
  }),
});

const NextObject = builder.objectRef<NextStep>('DeliveryNextStep').implement({
  description: 'What comes next.',
  authScopes: { readAll: true },
  fields: (t) => ({
    code: t.exposeString('code', {
      description:
        '`WAITING`, `PAUSED`, `LOCAL_TIME`, `QUIET_HOURS`, `RETRYING`, `UNDER_WAY`, `FALLBACK`, `EXPIRING`, or `CALLED_OFF`.',
    }),
    at: t.expose('at', { type: 'DateTime', nullable: true, description: 'When, as far as it is known; null: soon.' }),
    text: t.exposeString('text', { description: 'In a sentence. Its words may change.' }),
  }),
});

const ExplanationObject = builder.objectRef<Explanation>('DeliveryExplanation').implement({
  description: 'The story of one delivery.',
  authScopes: { readAll: true },
  fields: (t) => ({
    delivery: t.field({
      type: DeliveryObject,
      nullable: true,
      description: 'The delivery, as it is now.',
      resolve: ({ deliveryId }, _, { loaders }) => loaders.load(deliveryById, deliveryId),
    }),
    origins: t.expose('origins', {
      type: [OriginObject],
      description:
        'Why it was made: all ways in which the target means its user or installation, as far as they still hold.',
      extensions: { listSizeMax: referencesMax },
    }),
    steps: t.expose('steps', {
      type: [StepObject],
      description: 'What happened, oldest first: events as far back as the log is kept, attempts of the last 30 days.',
      extensions: { listSizeMax: 2 * stepsMax },
    }),
    next: t.expose('next', {
      type: NextObject,
      nullable: true,
      description: 'What comes next; null: nothing, but for receipts.',
    }),
  }),
});

builder.queryField('explainDelivery', (t) =>
  t.field({
    type: ExplanationObject,
    nullable: true,
    authScopes: { readAll: true },
    description:
      'Why a delivery was made, what became of it, why it ended so, and what comes next. Null when there is none.',
    args: { delivery: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: async (_, { delivery }, context) => {
      const deliveryId = toLocalId(delivery, 'Delivery');
      if (deliveryId === null) return null;
      return explainDelivery(context, { deliveryId, configured: await context.findConfigured() });
    },
  }),
);
