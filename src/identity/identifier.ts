import type { IdentityRules } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { IdentifierKind } from '../generated/prisma/enums.ts';
import { normalizeEmail, parseEmail } from './email.ts';
import { parsePhone } from './phone.ts';

/** One thing that names one user, in its normal form. */
export interface Identifier {
  kind: IdentifierKind;
  value: string;
}

/** What a caller says a person is called. */
export interface UserIdentity {
  externalUserId?: string | null | undefined;
  emails?: readonly string[] | null | undefined;
  phones?: readonly string[] | null | undefined;
}

/** A parsed identity: what names the person, and what was left out because it names nobody. */
export interface ParsedIdentity {
  identifiers: Identifier[];
  /** Blocked values, as they were given. */
  dropped: string[];
}

/** @default 256 // characters, rule U4 */
const externalUserIdCharactersMax = 256;
/** @default 100 // of each kind and user, decision 6 */
export const identifiersPerKindMax = 100;

// Empty, zeros, hyphens: values that programs write when they know nobody.
const namelessPattern = /^[0-]*$/;

/** Whether a value names nobody (decision 6), by its form or because the operator says so. */
function isBlocked(value: string, { blockedIdentifiers }: Pick<IdentityRules, 'blockedIdentifiers'>): boolean {
  return namelessPattern.test(value) || blockedIdentifiers.has(value.toLowerCase());
}

/**
 * The normal form of an external user id: Unicode NFC, otherwise as it is. Any casing of "null" means absent (rule U4).
 *
 * @throws DomainError `VALUE_INVALID` when it is longer than 256 characters, or no text that PostgreSQL can hold.
 */
export function parseExternalUserId(text: string, path: readonly string[]): string | null {
  const value = text.normalize('NFC');
  if ([...value].length > externalUserIdCharactersMax) {
    throw new DomainError('VALUE_INVALID', 'An external user id has at most 256 characters.', path);
  }
  // A signed token is none of the texts that the door has looked through.
  if (value.includes('\0') || !value.isWellFormed()) {
    throw new DomainError('VALUE_INVALID', 'An external user id has no NUL and no half of a surrogate pair.', path);
  }
  return value.toLowerCase() === 'null' ? null : value;
}

/**
 * The identifiers of an identity, each once and in a fixed order. An external user id that is an e-mail address names
 * that e-mail address too (rule U5).
 *
 * @throws DomainError `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `IDENTIFIER_LIMIT_EXCEEDED`.
 */
export function parseUserIdentity(
  identity: UserIdentity,
  { path, rules }: { path: readonly string[]; rules: Pick<IdentityRules, 'blockedIdentifiers'> },
): ParsedIdentity {
  const emails = parseEach(identity.emails, [...path, 'emails'], parseEmail);
  const phones = parseEach(identity.phones, [...path, 'phones'], parsePhone);
  const given = identity.externalUserId ?? null;
  const externalUserId = given === null ? null : parseExternalUserId(given, [...path, 'externalUserId']);
  const email = externalUserId === null ? null : normalizeEmail(externalUserId);
  if (email !== null) emails.add(email);
  const named: Identifier[] = [
    ...(externalUserId === null ? [] : [{ kind: 'EXTERNAL_USER_ID' as const, value: externalUserId }]),
    ...[...emails].map((value) => ({ kind: 'EMAIL' as const, value })),
    ...[...phones].map((value) => ({ kind: 'PHONE' as const, value })),
  ];
  return {
    identifiers: named.filter(({ value }) => !isBlocked(value, rules)),
    dropped: named.filter(({ value }) => isBlocked(value, rules)).map(({ value }) => value),
  };
}

function parseEach(
  texts: readonly string[] | null | undefined,
  path: readonly string[],
  parse: (text: string, path: readonly string[]) => string,
): Set<string> {
  const values = new Set((texts ?? []).map((text, index) => parse(text, [...path, String(index)])));
  if (values.size > identifiersPerKindMax) {
    throw new DomainError('IDENTIFIER_LIMIT_EXCEEDED', `A user has at most ${identifiersPerKindMax} of these.`, path);
  }
  return values;
}
