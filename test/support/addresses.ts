import { randomUUID } from 'node:crypto';

/** An e-mail address that nobody else has; `tag` is what the outbox plays an outcome by. */
export const newEmail = (tag?: string) => `${randomUUID()}${tag ? `+${tag}` : ''}@example.com`;

let phoneCount = Math.floor(Math.random() * 100_000);
/** A phone number that nobody else has, E.164; `digits`, its last four, are what the outbox plays an outcome by. */
export function newPhone(digits = '9999'): string {
  phoneCount = (phoneCount + 1) % 1_000_000;
  return `+49151${String(phoneCount).padStart(6, '0')}${digits}`;
}

/** An FCM address that nobody else has; its deliveries go to the outbox, which plays an outcome by `prefix`. */
export const fcmAddress = (prefix = '') => ({ fcm: { token: `${prefix}${randomUUID()}` } });
