import { domainToASCII } from 'node:url';
import { DomainError } from '../errors.ts';

// RFC 5322 `dot-atom` on the left (quoted local parts are refused), RFC 1035 labels on the right, at least two of them.
const localPart = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const domainLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

// `domainToASCII` reads a URL's host: it would cut at some of these, drop others, and decode the percent sign.
const notInDomain = /[\s\p{Cc}\p{Cf}%/?#\\:@[\]<>^|]/u;

/** @default 255 // characters, product.md */
const emailCharactersMax = 255;
// RFC 5321, 4.5.3.1.1
const localPartCharactersMax = 64;

/**
 * An e-mail address in the one form in which it is stored and compared: lower case, the domain in ASCII (IDNA).
 * Accepts the dot-atom subset of RFC 5322: no quoted local part, no comment, no literal domain.
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
  const local = text.slice(0, at).toLowerCase();
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
  const email = `${local}@${domain}`;
  return isValid && email.length <= emailCharactersMax ? email : null;
}
