import { domainToASCII } from 'node:url';
import { DomainError } from '../errors.ts';

// RFC 5322 `dot-atom` on the left (quoted local parts are refused, and so is what only RFC 6532 allows: letters beyond ASCII),
// RFC 1035 labels on the right, at least two of them. Looked at before the case is folded: the Kelvin sign, a letter of its
// own, becomes a "k".
const localPart = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const domainLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

// `domainToASCII` reads a URL's host: it would cut at some of these, drop others, and decode the percent sign.
const notInDomain = /[\s\p{Cc}\p{Cf}%/?#\\:@[\]<>^|]/u;

/** @default 255 // characters, product.md */
const emailCharactersMax = 255;
// RFC 5321, 4.5.3.1.1
const localPartCharactersMax = 64;

/**
 * An e-mail address in the one form in which it is stored and compared: lower case, the domain in ASCII, as IDNA (UTS 46)
 * maps it, so that all ways of writing a domain which lead to one mail server are one. Accepts the dot-atom subset of RFC
 * 5322: no quoted local part, no comment, no literal domain; no letters beyond ASCII before the "@" (SMTPUTF8, RFC 6531), as
 * many servers still refuse them.
 *
 * @throws DomainError `EMAIL_INVALID` at `path`.
 */
export function parseEmail(text: string, path: readonly string[]): string {
  const email = normalizeEmail(text);
  if (email === null) throw new DomainError('EMAIL_INVALID', 'This is not an e-mail address that can be stored.', path);
  return email;
}

/** As {@link parseEmail}, but answers null for what is no e-mail address. */
export function normalizeEmail(text: string): string | null {
  const at = text.lastIndexOf('@');
  if (at < 1 || text.length > emailCharactersMax) return null;
  const local = text.slice(0, at);
  const written = text.slice(at + 1);
  if (notInDomain.test(written)) return null;
  const domain = domainToASCII(written).toLowerCase();
  const labels = domain.split('.');
  const isValid =
    local.length <= localPartCharactersMax &&
    localPart.test(local) &&
    labels.length >= 2 &&
    labels.every((label) => domainLabel.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? '');
  const email = `${local.toLowerCase()}@${domain}`;
  return isValid && email.length <= emailCharactersMax ? email : null;
}
