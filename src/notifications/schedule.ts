import { z } from 'zod';
import type { FrequencyCap } from '../deliveries/frequency-cap.ts';
import { DomainError } from '../errors.ts';
import { durationSchema, toSeconds } from '../segments/duration.ts';
import { parseInput } from '../segments/predicate.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** When a caller wants it sent. */
export interface ScheduleInput {
  /** Absent: at once. */
  sendAt?: Date | null | undefined;
  /** At the time of day of `sendAt`, in UTC, where each user is. @default false */
  localTime?: boolean | null | undefined;
  /** By each user's clock: "22:00". */
  quietHours?: QuietHours | null | undefined;
  /** Absent: a user may have any number of messages. */
  frequencyCap?: { max: number; within?: unknown } | null | undefined;
  /** @default 172_800 // 48 hours */
  ttlSeconds?: number | null | undefined;
}

const quietHoursSchema = z.object({ from: z.string(), to: z.string() });
/** When nothing is sent, past midnight too: `{ from: '22:00', to: '07:00' }`. */
export type QuietHours = z.infer<typeof quietHoursSchema>;
/** Null: there are none. */
export const readQuietHours = (stored: unknown): QuietHours | null => quietHoursSchema.nullable().parse(stored);

/** What does not depend on the clock. */
export interface Schedule {
  sendAt: Date | null;
  localTime: boolean;
  quietHours: QuietHours | null;
  frequencyCap: FrequencyCap | null;
  ttlSeconds: number;
}

type Timed = Pick<Schedule, 'sendAt' | 'localTime' | 'ttlSeconds'>;

/** When a notification's work begins and ends. */
export interface Times {
  startsAt: Date;
  expiresAt: Date;
}

// product.md, "Limits to enforce": TTL 30 s to 72 h, default 48 h; schedule at most 180 days ahead.
const ttlSecondsMin = 30;
const ttlSecondsMax = 72 * 3600;
const ttlSecondsDefault = 48 * 3600;
const daysAheadMax = 180;
/** What is so long ago is now: clocks differ, and requests travel. @default 60_000 // 1 minute */
const pastMsMax = 60_000;

/** @default 1_000 // messages */
const capMax = 1_000;
/** @default 90 // days */
const capDaysMax = 90;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Where it is any time of day first, and last: UTC+14 and UTC-12. */
const [firstZoneMs, lastZoneMs] = [-14 * hourMs, 12 * hourMs];

/** @throws DomainError `VALUE_INVALID` */
export function parseSchedule(input: ScheduleInput): Schedule {
  const { sendAt = null, quietHours = null } = input;
  const localTime = input.localTime ?? false;
  if (localTime && sendAt === null) {
    throw new DomainError('VALUE_INVALID', 'Say which time it is: `sendAt`.', ['localTime']);
  }
  if (quietHours) parseQuietHours(quietHours);
  const frequencyCap = input.frequencyCap ? parseFrequencyCap(input.frequencyCap) : null;
  const ttlSeconds = parseTtl(input.ttlSeconds ?? ttlSecondsDefault);
  return { sendAt, localTime, quietHours, frequencyCap, ttlSeconds };
}

function parseQuietHours(hours: QuietHours): void {
  for (const end of ['from', 'to'] as const) {
    if (/^([01]\d|2[0-3]):[0-5]\d$/.test(hours[end])) continue;
    throw new DomainError('VALUE_INVALID', 'A time of day is like 22:00.', ['quietHours', end]);
  }
  if (hours.from === hours.to) {
    throw new DomainError('VALUE_INVALID', 'This is the whole day, or none of it.', ['quietHours', 'to']);
  }
}

function parseTtl(seconds: number): number {
  if (seconds >= ttlSecondsMin && seconds <= ttlSecondsMax) return seconds;
  const words = `A time to live is ${ttlSecondsMin} to ${ttlSecondsMax} seconds.`;
  throw new DomainError('VALUE_INVALID', words, ['ttlSeconds']);
}

function parseFrequencyCap({ max, within }: { max: number; within?: unknown }): FrequencyCap {
  const path = ['frequencyCap'];
  if (max < 1 || max > capMax) throw new DomainError('VALUE_INVALID', `1 to ${capMax} messages.`, [...path, 'max']);
  const duration = parseInput(durationSchema, within, [...path, 'within']);
  if (toSeconds(duration) <= capDaysMax * 86_400) return { max, within: duration };
  throw new DomainError('LIMIT_EXCEEDED', `Within ${capDaysMax} days at most.`, [...path, 'within']);
}

/**
 * Sets a schedule by the database's clock. Inside the write, since a repeat of a call is one also when its time has passed.
 *
 * @throws DomainError `VALUE_INVALID` (the past), `LIMIT_EXCEEDED` (more than 180 days ahead)
 */
export async function setTimes(tx: Pick<Transaction, '$queryRaw'>, schedule: Timed): Promise<Times> {
  const [row] = await tx.$queryRaw<{ now: Date }[]>(sql`select date_trunc('milliseconds', now()) as now`);
  if (!row) throw new Error('The database tells no time.');
  return decideTimes(schedule, row.now);
}

/**
 * When work begins: at the user's own time, where that comes first. A time to live counts from then on where it comes last; for
 * each user it ends by the user's own time (`deliveries/begin-sends.ts`). Pure.
 *
 * @throws DomainError as {@link setTimes} does
 */
export function decideTimes({ sendAt, localTime, ttlSeconds }: Timed, now: Date): Times {
  const wanted = sendAt?.getTime() ?? now.getTime();
  const [first, last] = localTime ? [wanted + firstZoneMs, wanted + lastZoneMs] : [wanted, wanted];
  if (wanted - now.getTime() > daysAheadMax * dayMs) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${daysAheadMax} days ahead.`, ['sendAt']);
  }
  if (last < now.getTime() - pastMsMax) throw new DomainError('VALUE_INVALID', 'This time has passed.', ['sendAt']);
  return {
    startsAt: new Date(Math.max(now.getTime(), first)),
    expiresAt: new Date(Math.max(now.getTime(), last) + ttlSeconds * 1_000),
  };
}
