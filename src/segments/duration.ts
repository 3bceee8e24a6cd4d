import { z } from 'zod';
import type { ArgumentObject } from './argument.ts';

/** How long, in normal form: as it is given. */
export const durationSchema = z.union(
  [
    z.strictObject({ minutes: z.int().min(1).max(52_560_000) }),
    z.strictObject({ hours: z.int().min(1).max(876_000) }),
    z.strictObject({ days: z.int().min(1).max(36_500) }),
  ],
  'A duration is a whole number of minutes, hours or days: 1 minute to 36,500 days.',
);
export type Duration = z.infer<typeof durationSchema>;

/** How a duration is given. */
export const durationArgument: ArgumentObject = {
  name: 'FilterDuration',
  isOneOf: true,
  description: 'How long: a whole number of one unit, from 1 minute to 36,500 days.',
  fields: {
    minutes: { type: 'Int', description: '60 seconds each.' },
    hours: { type: 'Int', description: '3,600 seconds each.' },
    days: { type: 'Int', description: '86,400 seconds each; where days are compared, days of the calendar.' },
  },
};

/** In seconds. */
export function toSeconds(duration: Duration): number {
  if ('minutes' in duration) return duration.minutes * 60;
  return 'hours' in duration ? duration.hours * 3_600 : duration.days * 86_400;
}

/** In words: "7 days". */
export function durationInWords(duration: Duration): string {
  const [[unit, count] = ['', 0]] = Object.entries(duration);
  return `${count} ${count === 1 ? unit.slice(0, -1) : unit}`;
}
