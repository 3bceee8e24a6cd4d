import { expect, test } from 'vitest';
import { type Attempt, decideFallback } from '../../../src/notifications/fan-out/decide-fallback.ts';

const inTime = { channel: 'PUSH', hasTime: true, isDue: false } as const;
const tooLate = { channel: 'PUSH', hasTime: true, isDue: true } as const;
const noTime = { channel: 'PUSH', hasTime: false, isDue: false } as const;

test.each<[string, Attempt, ReturnType<typeof decideFallback>]>([
  ['queued, in time', { ...inTime, statuses: ['QUEUED'] }, 'WAIT'],
  ['sent, in time', { ...inTime, statuses: ['SENT', 'FAILED'] }, 'WAIT'],
  ['delivered, in time', { ...inTime, statuses: ['DELIVERED'] }, 'WAIT'],
  ['opened, in time', { ...inTime, statuses: ['FAILED', 'OPENED'] }, 'SETTLED'],
  ['clicked, in time', { ...inTime, statuses: ['CLICKED'] }, 'SETTLED'],
  ['all failed, in time', { ...inTime, statuses: ['FAILED', 'BOUNCED'] }, 'NEXT'],
  ['discarded at its turn', { ...inTime, statuses: ['DISCARDED'] }, 'NEXT'],
  ['nothing is left that is waited for', { ...inTime, statuses: [] }, 'NEXT'],
  ['still queued when the time has passed', { ...tooLate, statuses: ['QUEUED'] }, 'NEXT'],
  ['sent, and not opened in time', { ...tooLate, statuses: ['SENT'] }, 'NEXT'],
  ['arrived, and not opened in time', { ...tooLate, statuses: ['DELIVERED'] }, 'NEXT'],
  ['opened just in time', { ...tooLate, statuses: ['OPENED'] }, 'SETTLED'],
  ['an SMS has arrived', { ...tooLate, channel: 'SMS', statuses: ['DELIVERED'] }, 'SETTLED'],
  ['an SMS has not arrived in time', { ...tooLate, channel: 'SMS', statuses: ['SENT'] }, 'NEXT'],
  ['queued, without a time', { ...noTime, statuses: ['QUEUED', 'FAILED'] }, 'WAIT'],
  ['taken over, without a time', { ...noTime, statuses: ['SENT', 'FAILED'] }, 'SETTLED'],
  ['failed, without a time', { ...noTime, statuses: ['EXPIRED', 'CANCELLED'] }, 'NEXT'],
])('%s: what follows is decided (rule M1)', (_, attempt, expected) => {
  expect(decideFallback(attempt)).toBe(expected);
});
