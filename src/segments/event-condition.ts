import { z } from 'zod';
import { toEventName } from '../events/parse-event.ts';
import { type Sql, sql } from '../storage/database.ts';
import { ago } from './clock.ts';
import { durationInWords, durationSchema } from './duration.ts';

// What is asked of the events of a user, by the predicates that ask of any.

/** How many events of one condition are counted at most. @default 1_000 */
export const eventCountMax = 1_000;

const namesMax = 20;
const valueCharactersMax = 4_096;

const isScalar = (value: unknown) =>
  typeof value === 'boolean' ||
  (typeof value === 'number' && Number.isFinite(value)) ||
  (typeof value === 'string' && value.length <= valueCharactersMax);

/** By name. Not a record of zod's, which leaves a name such as `__proto__` out, and so would ask for less. */
const propertiesSchema = z
  .custom<Readonly<Record<string, unknown>>>((value) => typeof value === 'object' && value !== null)
  .refine(
    (properties) => Object.keys(properties).length >= 1 && Object.keys(properties).length <= namesMax,
    `Name 1 to ${namesMax} properties.`,
  )
  .refine(
    (properties) => Object.values(properties).every(isScalar),
    `A property is compared with a text of at most ${valueCharactersMax.toLocaleString('en')} characters, a number or a boolean.`,
  );

const eventNameSchema = z.string().transform((text, context) => {
  const name = toEventName(text);
  if (name === null) context.addIssue('A name has 1 to 256 characters.');
  return name ?? text;
});

export const eventConditionSchema = z.strictObject({
  name: eventNameSchema,
  within: durationSchema.optional(),
  properties: propertiesSchema.optional(),
});
/** Which events are meant. */
export type EventCondition = z.infer<typeof eventConditionSchema>;

/** The same condition has the same key. */
export const eventKeyOf = ({ name, within, properties }: EventCondition): string =>
  JSON.stringify([name, within ?? null, properties ?? null]);

/** Whether `e`, a row of tracked_events, is meant. */
function isMeant({ name, within, properties }: EventCondition): Sql {
  return sql`
    e.name = ${name} and ${within === undefined ? sql`true` : sql`e.at >= ${ago(within)}`}
    and ${properties === undefined ? sql`true` : sql`e.properties @> ${JSON.stringify(properties)}::jsonb`}
  `;
}

/**
 * The events that are meant of a user, whoever they were tracked for who is that user by now: what stands behind `from`.
 * (decision 3: events are not rewritten by a merge.)
 */
export const eventsOf = (userId: Sql, condition: EventCondition): Sql => sql`
  users m join tracked_events e on e.user_id = m.id
  where coalesce(m.merged_into_id, m.id) = ${userId} and ${isMeant(condition)}
`;

/** In words, after "did": `"purchase" with {"sku":"A-7"} within the last 7 days`. */
export function eventInWords({ name, within, properties }: EventCondition): string {
  return [
    JSON.stringify(name),
    ...(properties === undefined ? [] : [`with ${JSON.stringify(properties)}`]),
    ...(within === undefined ? [] : [`within the last ${durationInWords(within)}`]),
  ].join(' ');
}
