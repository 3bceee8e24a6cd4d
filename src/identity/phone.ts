import { parsePhoneNumberFromString } from 'libphonenumber-js/min';
import { DomainError } from '../errors.ts';

/**
 * A phone number in the one form in which it is stored and compared: E.164 with "+". Accepted with or without "+", digits
 * only otherwise, 15 of them at most; its country code must exist and its length must be possible there. A trunk "0" that is
 * not dialled from abroad (+31 06…) is left out, and what is still another number after that is none.
 *
 * @throws DomainError `PHONE_INVALID` at `path`.
 */
export function parsePhone(text: string, path: readonly string[]): string {
  const given = text.startsWith('+') ? text : `+${text}`;
  const number = /^\+[1-9]\d{4,14}$/.test(given) ? parsePhoneNumberFromString(given) : undefined;
  const isStable =
    number?.number === given || parsePhoneNumberFromString(number?.number ?? '')?.number === number?.number;
  if (!number?.isPossible() || !isStable) {
    throw new DomainError(
      'PHONE_INVALID',
      'This is not an international phone number (E.164, such as +38516419710).',
      path,
    );
  }
  return number.number;
}
