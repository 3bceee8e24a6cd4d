import { DomainError } from '../errors.ts';

const partnerPattern = /^[A-Za-z0-9._-]{1,100}$/;

/** A partner's name as it was given. @throws DomainError `VALUE_INVALID` at `partner`. */
export function parsePartnerName(partner: string): string {
  if (partnerPattern.test(partner)) return partner;
  const message = "A partner's name has 1 to 100 characters of A-Z, a-z, 0-9, '.', '_', '-'.";
  throw new DomainError('VALUE_INVALID', message, ['partner']);
}
