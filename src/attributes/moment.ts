// RFC 3339, 5.6, with the separators as GraphQL clients write them. No leap second: PostgreSQL and JavaScript know none.
const dateTimePattern =
  /^\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
const datePattern = /^\d{4}-\d{2}-\d{2}$/;

/** Whether `text` is a day of the calendar, "YYYY-MM-DD" (RFC 3339 full-date). */
export function isCalendarDay(text: string): boolean {
  const date = datePattern.test(text) ? new Date(`${text}T00:00:00Z`) : null;
  // `Date` rolls 30 February over into March; a day that does not exist is refused.
  return date !== null && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

/** Whether it is one from the year 1 on: PostgreSQL has no year 0. */
export function isCommonEraDay(text: string): boolean {
  return isCalendarDay(text) && !text.startsWith('0000');
}

/** The moment that an RFC 3339 date and time with an offset says, to the millisecond; null for what is none. */
export function parseMoment(text: string): Date | null {
  const written = text.toUpperCase();
  if (!dateTimePattern.test(written) || !isCommonEraDay(written.slice(0, 10))) return null;
  const date = new Date(written);
  // The offset may lead out of the years that have four digits.
  const year = date.getUTCFullYear();
  return year >= 1 && year <= 9999 ? date : null;
}
