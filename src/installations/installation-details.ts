import { DomainError } from '../errors.ts';
import { isTimeZone, toLanguage } from '../users/user-attributes.ts';

/** What is known of the device and the app on it. An absent one stays as it is, null removes it. */
export interface InstallationDetails {
  language?: string | null | undefined;
  timeZone?: string | null | undefined;
  appVersion?: string | null | undefined;
  osVersion?: string | null | undefined;
  deviceModel?: string | null | undefined;
}

const textFields = ['appVersion', 'osVersion', 'deviceModel'] as const;
const textCharactersMax = 256;

/**
 * The details among what a caller says, with the language in its canonical form.
 *
 * @param path of what holds them in the input.
 * @throws DomainError `VALUE_INVALID` at the detail.
 */
export function parseDetails(details: InstallationDetails, path: readonly string[]): InstallationDetails {
  const { language, timeZone, appVersion, osVersion, deviceModel } = details;
  const invalid = (name: string, message: string) => new DomainError('VALUE_INVALID', message, [...path, name]);
  for (const name of textFields) {
    if ((details[name]?.length ?? 0) > textCharactersMax)
      throw invalid(name, `At most ${textCharactersMax} characters.`);
  }
  if (typeof timeZone === 'string' && !isTimeZone(timeZone)) {
    throw invalid('timeZone', 'Not an IANA time zone, such as "Europe/Zagreb".');
  }
  const tag = typeof language === 'string' ? toLanguage(language) : language;
  if (typeof language === 'string' && tag === null) {
    throw invalid('language', 'Not a BCP 47 language tag, such as "en" or "pt-BR".');
  }
  return { language: tag, timeZone, appVersion, osVersion, deviceModel };
}

/** How far the clocks of a caller and of this program may be apart. @default 60_000 // 1 minute */
const clockToleranceMs = 60_000;

/** @throws DomainError `VALUE_INVALID` at `path` for a moment that is still to come, or that no installation has seen. */
export function refuseImplausible(at: Date | null | undefined, path: readonly string[]): void {
  if (!at) return;
  if (at.getTime() > Date.now() + clockToleranceMs) {
    throw new DomainError('VALUE_INVALID', 'This is in the future.', path);
  }
  if (at.getTime() < 0) throw new DomainError('VALUE_INVALID', 'This is before 1970.', path);
}
