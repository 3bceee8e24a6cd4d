import { z } from 'zod';
import { type Sql, sql } from '../storage/database.ts';
import type { ArgumentObject } from './argument.ts';
import { ago } from './clock.ts';
import { durationArgument, durationInWords, durationSchema, toSeconds } from './duration.ts';

const lastMoment = new Date('9999-12-31T23:59:59.999Z');
export const momentSchema = z.union([
  z
    .date()
    .max(lastMoment)
    .transform((date) => date.toISOString()),
  z.iso.datetime(),
]);

/** When something has happened, in normal form. */
export const momentsSchema = z
  .strictObject({
    from: momentSchema.optional(),
    to: momentSchema.optional(),
    withinLast: durationSchema.optional(),
  })
  .refine((given) => Object.keys(given).length > 0, 'Say when: `from`, `to` or `withinLast`.');
export type Moments = z.infer<typeof momentsSchema>;

/** How it is asked when something has happened. */
export const momentsArgument: ArgumentObject = {
  name: 'MomentCondition',
  description: 'When it was: all that is given holds.',
  fields: {
    from: { type: 'DateTime', description: 'Then or later.' },
    to: { type: 'DateTime', description: 'Earlier than this.' },
    withinLast: {
      type: durationArgument,
      description: "So long ago, or later, by the database's clock. A day is 24 hours here.",
    },
  },
};

/** In words, after "was seen". */
export function momentsInWords({ from, to, withinLast }: Moments): string {
  return [
    ...(from === undefined ? [] : [`at ${from} or later`]),
    ...(to === undefined ? [] : [`before ${to}`]),
    ...(withinLast === undefined ? [] : [`within the last ${durationInWords(withinLast)}`]),
  ].join(' and ');
}

/** The least that a moment has to be. Null: it may be any. */
export function beginsAt({ from, withinLast }: Moments): Sql | null {
  const bounds = [
    ...(from === undefined ? [] : [sql`${from}::timestamptz`]),
    ...(withinLast === undefined ? [] : [ago(withinLast)]),
  ];
  const [first, second] = bounds;
  return first && second ? sql`greatest(${first}, ${second})` : (first ?? null);
}

/** Whether a moment is meant; all are texts that sort. */
export function isWithin(moment: string, { from, to, withinLast }: Moments, now: string): boolean {
  if (from !== undefined && moment < from) return false;
  if (to !== undefined && moment >= to) return false;
  return withinLast === undefined || moment >= isoAgo(now, withinLast);
}

/** The moment so long before `now`, as a text that sorts. */
export function isoAgo(now: string, duration: z.infer<typeof durationSchema>): string {
  return new Date(Date.parse(now) - toSeconds(duration) * 1_000).toISOString();
}
