import { DomainError } from '../errors.ts';
import type { Channel, Gender } from '../generated/prisma/enums.ts';

/** Standard attributes as a caller writes them: an absent one stays, null removes. `tags` replaces the whole set. */
export interface UserAttributesInput {
  displayName?: string | null | undefined;
  firstName?: string | null | undefined;
  middleName?: string | null | undefined;
  lastName?: string | null | undefined;
  gender?: Gender | null | undefined;
  /** A day. */
  birthday?: Date | null | undefined;
  preferredLanguage?: string | null | undefined;
  preferredChannel?: Channel | null | undefined;
  timeZone?: string | null | undefined;
  country?: string | null | undefined;
  region?: string | null | undefined;
  pictureUrl?: string | null | undefined;
  tags?: readonly string[] | null | undefined;
}

/** What is written to the user's row: only the attributes that were given. */
export type UserAttributes = Partial<Omit<UserAttributesInput, 'tags'>> & { tags?: string[] };

// product.md, "Limits to enforce"
const charactersMax = {
  displayName: 255,
  firstName: 255,
  middleName: 50,
  lastName: 255,
  region: 255,
  pictureUrl: 4096,
} as const;
const tagCharactersMax = 256;
const tagsMax = 1000;

/**
 * Checks standard attributes: lengths, BCP 47 language, IANA time zone, ISO 3166-1 country, an http(s) picture.
 *
 * @throws DomainError `ATTRIBUTE_INVALID` at the attribute.
 */
export function parseUserAttributes(
  input: UserAttributesInput | null | undefined,
  path: readonly string[],
): UserAttributes {
  if (!input) return {};
  const invalid = (name: string, message: string) => new DomainError('ATTRIBUTE_INVALID', message, [...path, name]);
  for (const [name, max] of Object.entries(charactersMax)) {
    const value: unknown = Reflect.get(input, name);
    if (typeof value === 'string' && [...value].length > max) throw invalid(name, `At most ${max} characters.`);
  }
  const { tags, ...rest } = input;
  const attributes: UserAttributes = { ...rest };
  if (typeof rest.preferredLanguage === 'string') {
    attributes.preferredLanguage = toLanguage(rest.preferredLanguage);
    if (attributes.preferredLanguage === null)
      throw invalid('preferredLanguage', 'Not a BCP 47 language tag, such as "en" or "pt-BR".');
  }
  // RFC 3339 has a year 0000; PostgreSQL's calendar has none.
  if (rest.birthday && rest.birthday.getUTCFullYear() < 1) throw invalid('birthday', 'Not a day of the common era.');
  if (typeof rest.timeZone === 'string' && !isTimeZone(rest.timeZone)) {
    throw invalid('timeZone', 'Not an IANA time zone, such as "Europe/Zagreb".');
  }
  if (typeof rest.country === 'string') {
    if (!isCountry(rest.country)) throw invalid('country', 'Not an ISO 3166-1 alpha-2 country code, such as "NL".');
    attributes.country = rest.country.toUpperCase();
  }
  if (typeof rest.pictureUrl === 'string' && !isHttpUrl(rest.pictureUrl)) {
    throw invalid('pictureUrl', 'Not an http or https URL.');
  }
  if (tags !== undefined) attributes.tags = parseTags(tags ?? [], [...path, 'tags']);
  return attributes;
}

/** The set of tags: each once, as it is written, sorted. @throws DomainError `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`. */
function parseTags(tags: readonly string[], path: readonly string[]): string[] {
  tags.forEach((tag, index) => {
    if (tag.length === 0 || [...tag].length > tagCharactersMax) {
      throw new DomainError('ATTRIBUTE_INVALID', `A tag has 1 to ${tagCharactersMax} characters.`, [
        ...path,
        String(index),
      ]);
    }
  });
  const set = [...new Set(tags)].sort();
  if (set.length > tagsMax) throw new DomainError('LIMIT_EXCEEDED', `A user has at most ${tagsMax} tags.`, path);
  return set;
}

/** BCP 47 sets no limit, and says that 35 characters are enough for any language (RFC 5646, 4.4.1). */
const languageCharactersMax = 100;

/** A BCP 47 tag in its canonical form, or null when it is none, or longer than any honest one. */
export function toLanguage(text: string): string | null {
  if (text.length > languageCharactersMax) return null;
  try {
    return new Intl.Locale(text).toString();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Whether `text` names a time zone of the IANA database. */
export function isTimeZone(text: string): boolean {
  try {
    // An offset such as "+01:00" is accepted by Intl but is no zone: it knows no summer time.
    return /^[A-Za-z]/.test(text) && new Intl.DateTimeFormat('en', { timeZone: text }).format(0) !== '';
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

// ISO 3166-1 alpha-2, officially assigned. (`Intl` also knows UK, EU and ZZ.)
const countries = new Set(
  `
  AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
  BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK
  FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR
  IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK
  ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM
  PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF
  TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
`
    .trim()
    .split(/\s+/),
);

/** Whether `text` is an officially assigned country code, in any casing. */
export function isCountry(text: string): boolean {
  return countries.has(text.toUpperCase());
}

/** Whether `text` is an http or https URL. */
export function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol);
}
