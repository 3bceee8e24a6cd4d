import { parsePhoneNumberFromString } from 'libphonenumber-js/min';
import { DomainError } from '../errors.ts';

/**
 * A phone number in the one form in which it is stored and compared: E.164 with "+". Accepted with or without "+", digits
 * only otherwise, 15 of them at most; its country code must exist and its length must be possible there. A trunk "0" that is
 * not dialled from abroad (+31 06…) is left out.
 *
 * @throws DomainError `PHONE_INVALID` at `path`.
 */
export function parsePhone(text: string, path: readonly string[]): string {
  const number = /^\+?[1-9]\d{4,14}$/.test(text)
    ? parsePhoneNumberFromString(text.startsWith('+') ? text : `+${text}`)
    : undefined;
  if (!number?.isPossible()) {
    throw new DomainError(
      'PHONE_INVALID',
      'This is not an international phone number (E.164, such as +38516419710).',
      path,
    );
  }
  return number.number;
}
