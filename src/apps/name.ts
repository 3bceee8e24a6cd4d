import { DomainError } from '../errors.ts';

const charactersMax = 256;

/** The normal form of an app's or a key's name: Unicode NFC, trimmed. @throws DomainError `VALUE_INVALID`. */
export function parseName(text: string): string {
  const name = text.normalize('NFC').trim();
  if (name.length === 0 || [...name].length > charactersMax || name.includes('\0')) {
    throw new DomainError('VALUE_INVALID', `A name has 1 to ${charactersMax} characters.`, ['name']);
  }
  return name;
}
