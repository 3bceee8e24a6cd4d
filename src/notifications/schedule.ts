import { DomainError } from '../errors.ts';
import { sql, type Transaction } from '../storage/database.ts';

/** When a caller wants it sent. */
export interface ScheduleInput {
  /** Absent: at once. */
  sendAt?: Date | null | undefined;
  /** @default 172_800 // 48 hours */
  ttlSeconds?: number | null | undefined;
}

/** What does not depend on the clock. */
export interface Schedule {
  sendAt: Date | null;
  ttlSeconds: number;
}

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

const dayMs = 24 * 3_600_000;

/** @throws DomainError `VALUE_INVALID` */
export function parseSchedule({ sendAt = null, ttlSeconds }: ScheduleInput): Schedule {
  return { sendAt, ttlSeconds: parseTtl(ttlSeconds ?? ttlSecondsDefault) };
}

function parseTtl(seconds: number): number {
  if (seconds >= ttlSecondsMin && seconds <= ttlSecondsMax) return seconds;
  const words = `A time to live is ${ttlSecondsMin} to ${ttlSecondsMax} seconds.`;
  throw new DomainError('VALUE_INVALID', words, ['ttlSeconds']);
}

/**
 * Sets a schedule by the database's clock. Inside the write, since a repeat of a call is one also when its time has passed.
 *
 * @throws DomainError `VALUE_INVALID` (the past), `LIMIT_EXCEEDED` (more than 180 days ahead)
 */
export async function setTimes(tx: Pick<Transaction, '$queryRaw'>, schedule: Schedule): Promise<Times> {
  const [row] = await tx.$queryRaw<{ now: Date }[]>(sql`select date_trunc('milliseconds', now()) as now`);
  if (!row) throw new Error('The database tells no time.');
  return decideTimes(schedule, row.now);
}

/** @throws DomainError as {@link setTimes} does. Pure. */
export function decideTimes({ sendAt, ttlSeconds }: Schedule, now: Date): Times {
  const ahead = sendAt === null ? 0 : sendAt.getTime() - now.getTime();
  if (ahead > daysAheadMax * dayMs) {
    throw new DomainError('LIMIT_EXCEEDED', `At most ${daysAheadMax} days ahead.`, ['sendAt']);
  }
  if (ahead < -pastMsMax) throw new DomainError('VALUE_INVALID', 'This time has passed.', ['sendAt']);
  const startsAt = new Date(now.getTime() + Math.max(0, ahead));
  return { startsAt, expiresAt: new Date(startsAt.getTime() + ttlSeconds * 1_000) };
}
