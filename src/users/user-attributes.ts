import { LRUCache } from 'lru-cache';
import type { CustomAttributesInput } from '../attributes/custom-attributes.ts';
import { DomainError } from '../errors.ts';
import type { Channel, Gender } from '../generated/prisma/enums.ts';
import { findTextMistake } from '../operations/text-mistake.ts';

/** The attributes of which a user has one value each, by the columns that hold them. */
export const standardAttributes = [
  'displayName',
  'firstName',
  'middleName',
  'lastName',
  'gender',
  'birthday',
  'preferredLanguage',
  'preferredChannel',
  'timeZone',
  'country',
  'region',
  'pictureUrl',
] as const;
export type StandardAttribute = (typeof standardAttributes)[number];

/** Attributes as a caller writes them: an absent one stays, null removes. `tags` replaces the whole set. */
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
  /** What is defined, by name: see `changeCustomAttributes`. Null as if it were absent. */
  customAttributes?: CustomAttributesInput | null | undefined;
}

/** What is written to the user's row: only the standard attributes that were given. */
export type UserAttributes = Partial<Omit<UserAttributesInput, 'tags' | 'customAttributes'>> & { tags?: string[] };

// product.md, "Limits to enforce"
const charactersMax = {
  displayName: 255,
  firstName: 255,
  middleName: 50,
  lastName: 255,
  region: 255,
} as const;
const textNames = ['displayName', 'firstName', 'middleName', 'lastName', 'region'] as const;
const urlCharactersMax = 4096;
const tagCharactersMax = 256;
/** @default 1_000 // tags of a user */
export const tagsMax = 1_000;

/** Every standard attribute without a value. */
export const blankAttributes = {
  displayName: null,
  firstName: null,
  middleName: null,
  lastName: null,
  gender: null,
  birthday: null,
  preferredLanguage: null,
  preferredChannel: null,
  timeZone: null,
  country: null,
  region: null,
  pictureUrl: null,
} as const;

/**
 * Checks standard attributes and brings them into the form in which they are stored: texts in Unicode NFC (otherwise as they
 * are: look-alikes stay what they are), a BCP 47 language in its canonical form, an IANA time zone, an ISO 3166-1 country in
 * capitals, a birthday that has come somewhere on Earth, an http(s) picture, tags as a set.
 *
 * @throws DomainError `ATTRIBUTE_INVALID` at the attribute; `LIMIT_EXCEEDED` for too many tags.
 */
export function parseUserAttributes(
  input: UserAttributesInput | null | undefined,
  path: readonly string[],
): UserAttributes {
  if (!input) return {};
  const { tags, customAttributes: _, ...rest } = input;
  const attributes: UserAttributes = { ...rest };
  for (const name of textNames) {
    const text = rest[name];
    if (typeof text === 'string') attributes[name] = parseText(text, charactersMax[name], [...path, name]);
  }
  for (const name of codeNames) {
    const text = rest[name];
    if (typeof text === 'string') attributes[name] = parseCode(text, name, [...path, name]);
  }
  if (rest.birthday) refuseBirthday(rest.birthday, [...path, 'birthday']);
  if (tags !== undefined) attributes.tags = parseTags(tags ?? [], [...path, 'tags']);
  return attributes;
}

/** A line of text in NFC. @throws DomainError `ATTRIBUTE_INVALID` when it is longer, or holds more than a line. */
function parseText(text: string, max: number, path: readonly string[]): string {
  const value = text.normalize('NFC');
  if ([...value].length > max) throw invalid(`At most ${max} characters.`, path);
  const mistake = findTextMistake(value);
  if (mistake !== null) throw invalid(`A text ${mistake}.`, path);
  // A name goes into the headers of mails.
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value)) throw invalid('One line, without control characters.', path);
  return value;
}

const codes = {
  preferredLanguage: { parse: toLanguage, expected: 'a BCP 47 language tag, such as "en" or "pt-BR"' },
  timeZone: {
    parse: (text: string) => (isTimeZone(text) ? text : null),
    expected: 'an IANA time zone, such as "Europe/Zagreb"',
  },
  country: { parse: toCountry, expected: 'an ISO 3166-1 alpha-2 country code, such as "NL"' },
  pictureUrl: { parse: toPictureUrl, expected: `an http or https URL of at most ${urlCharactersMax} characters` },
} as const;
const codeNames = ['preferredLanguage', 'timeZone', 'country', 'pictureUrl'] as const satisfies (keyof typeof codes)[];

function parseCode(text: string, name: keyof typeof codes, path: readonly string[]): string {
  const { parse, expected } = codes[name];
  const value = parse(text);
  if (value === null) throw invalid(`Not ${expected}.`, path);
  return value;
}

/** Where the day begins first, it is 14 hours later than in Greenwich. */
const earliestOffsetMs = 14 * 3_600_000;

function refuseBirthday(birthday: Date, path: readonly string[]): void {
  // RFC 3339 has a year 0000; PostgreSQL's calendar has none.
  if (birthday.getUTCFullYear() < 1) throw invalid('Not a day of the common era.', path);
  if (birthday.getTime() > Date.now() + earliestOffsetMs) throw invalid('Not a day in the future.', path);
}

function invalid(message: string, path: readonly string[]): DomainError {
  return new DomainError('ATTRIBUTE_INVALID', message, path);
}

/**
 * The set of tags: each once, in NFC, otherwise as it is written, sorted.
 *
 * @throws DomainError `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`.
 */
export function parseTags(tags: readonly string[], path: readonly string[]): string[] {
  const given = tags.map((tag) => tag.normalize('NFC'));
  given.forEach((tag, index) => {
    if (tag.length === 0 || [...tag].length > tagCharactersMax || findTextMistake(tag) !== null) {
      throw invalid(`A tag has 1 to ${tagCharactersMax} characters.`, [...path, String(index)]);
    }
  });
  const set = [...new Set(given)].sort();
  if (set.length > tagsMax) throw new DomainError('LIMIT_EXCEEDED', `A user has at most ${tagsMax} tags.`, path);
  return set;
}

/** BCP 47 sets no limit, and says that 35 characters are enough for any language (RFC 5646, 4.4.1). */
const languageCharactersMax = 100;

/** A BCP 47 tag in its canonical form, or null when it is none, or longer than any honest one. */
export function toLanguage(text: string): string | null {
  if (text.length > languageCharactersMax) return null;
  const known = languages.get(text) ?? readLanguage(text);
  if (known !== null) languages.set(text, known);
  return known;
}

/** What was read lately: people write few languages, and reading one takes long. */
const languages = new LRUCache<string, string>({ max: 1_000 });

function readLanguage(text: string): string | null {
  try {
    return new Intl.Locale(text).toString();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Whether `text` names a time zone of the IANA database. */
export function isTimeZone(text: string): boolean {
  const isKnown = timeZones.has(text) || readTimeZone(text);
  if (isKnown) timeZones.set(text, true);
  return isKnown;
}

/** As of languages. */
const timeZones = new LRUCache<string, true>({ max: 1_000 });

/**
 * Names that Intl takes beside the database's, as ICU does. PostgreSQL knows no such zone, or means another one: "BST" is Bangladesh's
 * here, and British there.
 */
const zonesOfIcu = /^(?:A[CEGRS]T|B[ES]T|C[ANST]T|E[AC]T|I[ES]T|JST|MIT|N[ES]T|P[LNRS]T|SST|VST|SystemV\/.*)$/i;

function readTimeZone(text: string): boolean {
  if (zonesOfIcu.test(text)) return false;
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

/** A country in capitals, or null when it is none that is officially assigned. Only of letters that are ASCII before: "ﬁ", one letter, has "FI" as its capitals. */
export function toCountry(text: string): string | null {
  const code = /^[A-Za-z]{2}$/.test(text) ? text.toUpperCase() : '';
  return countries.has(code) ? code : null;
}

/** The URL of a picture, or null. One with spaces is none, as readers of URLs drop some of them and others do not. */
function toPictureUrl(text: string): string | null {
  const isPlain = text.length <= urlCharactersMax && !/[\s\p{Cc}]/u.test(text) && text.isWellFormed();
  return isPlain && isHttpUrl(text) ? text : null;
}

/** Whether `text` is an http or https URL. */
export function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol);
}
