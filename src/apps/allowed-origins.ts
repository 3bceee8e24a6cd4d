import { DomainError } from '../errors.ts';

/** @default 100 // origins an app */
const originsMax = 100;

// What a browser sends as `Origin` (RFC 6454, 6.2): no path, no user, no wildcard. The rest is for URL to judge.
const originPattern = /^https?:\/\/[^/\\?#@*\s]+$/i;

/**
 * Origins as browsers send them: lower case, punycode, without the default port; each once.
 *
 * @throws DomainError `VALUE_INVALID` at the place of the one that is none.
 */
export function parseAllowedOrigins(texts: readonly string[]): string[] {
  if (texts.length > originsMax) throw badOrigin(originsMax, `At most ${originsMax} origins.`);
  return [...new Set(texts.map(parseOrigin))];
}

function parseOrigin(text: string, index: number): string {
  const origin = originPattern.test(text) && URL.canParse(text) ? new URL(text).origin : null;
  if (origin === null)
    throw badOrigin(index, 'Not an origin, such as "https://shop.example" or "http://localhost:3000".');
  return origin;
}

function badOrigin(index: number, message: string): DomainError {
  return new DomainError('VALUE_INVALID', message, ['allowedOrigins', String(index)]);
}
