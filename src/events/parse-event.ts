import { z } from 'zod';
import { DomainError } from '../errors.ts';

/** What was done, as a caller tells it. */
export interface EventInput {
  name: string;
  properties?: Record<string, unknown> | null | undefined;
}

/** The same in normal form, as a notification keeps it. */
export const eventSchema = z.object({
  name: z.string(),
  properties: z.custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null),
});
export type SentEvent = z.infer<typeof eventSchema>;

/** @default 256 // characters */
export const eventNameCharactersMax = 256;
/** The properties as JSON. @default 8_192 // bytes */
export const propertiesBytesMax = 8_192;

/** In Unicode NFC, without blanks around it; null for what is none. */
export function toEventName(text: string): string | null {
  const name = text.normalize('NFC').trim();
  return name.length > 0 && [...name].length <= eventNameCharactersMax ? name : null;
}

/** @throws DomainError `VALUE_INVALID` (the name), `LIMIT_EXCEEDED` (the properties), below `path`. */
export function parseEvent({ name: text, properties: given }: EventInput, path: readonly string[]): SentEvent {
  const name = toEventName(text);
  if (name === null) {
    throw new DomainError('VALUE_INVALID', `A name has 1 to ${eventNameCharactersMax} characters.`, [...path, 'name']);
  }
  const properties = given ?? {};
  if (Buffer.byteLength(JSON.stringify(properties)) <= propertiesBytesMax) return { name, properties };
  throw new DomainError('LIMIT_EXCEEDED', `The properties have more than ${propertiesBytesMax} bytes as JSON.`, [
    ...path,
    'properties',
  ]);
}
