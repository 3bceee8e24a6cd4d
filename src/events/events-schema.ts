import { DomainError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import { refusedWith } from '../graphql/errors.ts';
import { toLocalId } from '../graphql/global-id.ts';
import { principalOf } from '../graphql/principal.ts';
import { mayWrite } from '../graphql/rights.ts';
import { ownInstallationId } from '../installations/schema.ts';
import { toUserReferenceInput, UserRefInput } from '../users/schema.ts';
import { eventNameCharactersMax, propertiesBytesMax } from './parse-event.ts';
import { eventsMax, trackEvents } from './track-events.ts';

/** How inputs tell of events. */
export const eventNameDescription = `What it is called, such as "purchase": 1 to ${eventNameCharactersMax} characters. Case counts.`;
export const eventPropertiesDescription = `What is known of it, such as \`{ "sku": "A-7", "amount": 19.9 }\`: at most ${propertiesBytesMax.toLocaleString('en')} bytes as JSON. In a variable, not in the document.`;

/** Results that are counted into an operation's price: they are read from nowhere. An installation may ask for them too. */
const resultsCounted = 1_000;

const TrackedEventInput = builder.inputType('TrackedEventInput', {
  description: 'What a person did.',
  fields: (t) => ({
    user: t.field({
      type: UserRefInput,
      description: "Who did it. Default: the installation's user. A server key names one of the two at least.",
    }),
    installation: t.id({
      description:
        'Where it was done: push registration id or global id. An installation may leave it out, and name itself only.',
    }),
    name: t.string({ required: true, description: eventNameDescription }),
    properties: t.field({ type: 'JSONObject', description: eventPropertiesDescription }),
    at: t.field({
      type: 'DateTime',
      description:
        'When it was done: within the last 3,650 days, and not to come (a clock may be ahead by 5 minutes; that is now). Default: now.',
    }),
  }),
});

const TrackedEventObject = builder.objectRef<{ place: number }>('TrackedEvent').implement({
  description: 'An event that is kept.',
  authScopes: { write: true, installation: true },
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'place' in value,
  fields: (t) => ({ place: t.exposeInt('place', { description: 'Its place in `events`, from 0.' }) }),
});

const refusals = refusedWith(
  'NOT_FOUND',
  'NO_REGISTRATION',
  'VALUE_INVALID',
  'LIMIT_EXCEEDED',
  'EMAIL_INVALID',
  'PHONE_INVALID',
);

const TrackEventResult = builder.errorUnion('TrackEventResult', {
  description: 'What became of one event: it is kept, or why not.',
  types: [TrackedEventObject, ...refusals.types],
});

builder.relayMutationField(
  'trackEvents',
  {
    description: 'What people did.',
    inputFields: (t) => ({
      events: t.field({
        type: [TrackedEventInput],
        required: true,
        description: `At most ${eventsMax.toLocaleString('en')}.`,
      }),
      idempotencyKey: t.string({ description: 'Makes a repeat of this call harmless for 24 hours.' }),
    }),
  },
  {
    description:
      'Keeps what people did, for filters (`event`, `noEvent`). What is refused is told in its place and keeps nothing else back. A server key may tell of anybody; an installation of itself and its own user. Events follow their user through merges, and are kept for as long as the deployment says (`TRACKED_EVENT_RETENTION_DAYS`).',
    authScopes: { write: true, installation: true },
    errors: refusedWith('LIMIT_EXCEEDED', 'VALUE_INVALID', 'IDEMPOTENCY_KEY_REUSED'),
    resolve: (_, { input: { events, idempotencyKey } }, context) =>
      trackEvents(context, {
        principal: principalOf(context),
        installationId: mayWrite(context) ? null : ownInstallationId(context.caller),
        idempotencyKey,
        events: events.map(({ user, installation, ...event }) => ({
          ...event,
          user: user && toUserReferenceInput(user),
          installation: installation && (toLocalId(installation, 'Installation') ?? installation),
        })),
      }),
  },
  {
    description: 'What became of each.',
    outputFields: (t) => ({
      accepted: t.int({
        description: 'How many are kept.',
        resolve: ({ count, refused }) => count - refused.length,
      }),
      results: t.field({
        type: [TrackEventResult],
        extensions: { listSizeMax: resultsCounted },
        description: 'One for each of `events`, in their order.',
        resolve: ({ count, refused }) => {
          const refusalAt = new Map(refused.map((refusal) => [refusal.place, refusal]));
          return Array.from({ length: count }, (_, place) => {
            const refusal = refusalAt.get(place);
            return refusal ? new DomainError(refusal.code, refusal.message, refusal.path) : { place };
          });
        },
      }),
    }),
  },
);
