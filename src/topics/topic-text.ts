import { DomainError } from '../errors.ts';

const nameCharactersMax = 256;
const descriptionCharactersMax = 4096;

/** In Unicode NFC, without blanks around it. @throws DomainError `VALUE_INVALID`. */
export function parseTopicName(text: string): string {
  const name = text.normalize('NFC').trim();
  if (name.length > 0 && [...name].length <= nameCharactersMax) return name;
  throw new DomainError('VALUE_INVALID', `A name has 1 to ${nameCharactersMax} characters.`, ['name']);
}

/** As it is; null: none. @throws DomainError `VALUE_INVALID`. */
export function parseTopicDescription(text: string | null): string | null {
  if (text === null || [...text].length <= descriptionCharactersMax) return text;
  throw new DomainError('VALUE_INVALID', `At most ${descriptionCharactersMax} characters.`, ['description']);
}
