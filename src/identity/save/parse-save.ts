import type { CustomAttributesInput } from '../../attributes/custom-attributes.ts';
import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import { parseUserAttributes, type UserAttributes, type UserAttributesInput } from '../../users/user-attributes.ts';
import { type Identifier, parseUserIdentity, type UserIdentity } from '../identifier.ts';
import { parseUserReference, type UserReference, type UserReferenceInput } from '../user-reference.ts';

/** What is to be written to one user. An absent field stays as it is. */
export interface UserSave {
  user: UserReferenceInput;
  /** Makes the user, if the reference is an identifier that names nobody. @default false */
  create?: boolean | null | undefined;
  /** Set once; null only where there is none. */
  externalUserId?: string | null | undefined;
  /** Added to those that there are; null removes all. */
  emails?: readonly string[] | null | undefined;
  /** As `emails`. */
  phones?: readonly string[] | null | undefined;
  userAttributes?: UserAttributesInput | null | undefined;
  /** `OVERRIDE`: absent standard and custom attributes are removed; tags, identifiers and opt-outs are not. @default 'MERGE' */
  mode?: SaveMode | null | undefined;
}

export type SaveMode = 'MERGE' | 'OVERRIDE';

/** A save in normal form. */
export interface ParsedSave {
  reference: UserReference;
  /** What a user that has to be made is called by the reference; null: no user may be made. */
  createdAs: Identifier[] | null;
  identifiers: Identifier[];
  /** Whether the external user id is said to be none. */
  isExternalUserIdNull: boolean;
  /** Kinds of which all are removed. */
  removedKinds: ('EMAIL' | 'PHONE')[];
  attributes: UserAttributes;
  customAttributes: CustomAttributesInput;
  mode: SaveMode;
  /** Of this save in the input. */
  path: readonly string[];
}

/**
 * @throws DomainError `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `IDENTIFIER_BLOCKED`, `IDENTIFIER_LIMIT_EXCEEDED`,
 * `ATTRIBUTE_INVALID`, `LIMIT_EXCEEDED`.
 */
export function parseSave(save: UserSave, { rules }: Pick<Deployment, 'rules'>, path: readonly string[]): ParsedSave {
  const reference = parseUserReference(save.user, [...path, 'user']);
  const identifiers = parseUnblocked(save, rules, path);
  const isNamed = identifiers.some(({ kind }) => kind === 'EXTERNAL_USER_ID');
  return {
    reference,
    createdAs: save.create ? nameOf(reference, rules, [...path, 'user']) : null,
    identifiers,
    isExternalUserIdNull: save.externalUserId !== undefined && !isNamed,
    removedKinds: [
      ...(save.emails === null ? ['EMAIL' as const] : []),
      ...(save.phones === null ? ['PHONE' as const] : []),
    ],
    attributes: parseUserAttributes(save.userAttributes, [...path, 'userAttributes']),
    customAttributes: save.userAttributes?.customAttributes ?? {},
    mode: save.mode ?? 'MERGE',
    path,
  };
}

/** What a user that is made for a reference is called; null where the reference is no identifier. */
function nameOf(reference: UserReference, rules: Deployment['rules'], path: readonly string[]): Identifier[] | null {
  if (reference.by !== 'identifier') return null;
  const { kind, value } = reference;
  if (kind === 'EXTERNAL_USER_ID') return parseUnblocked({ externalUserId: value }, rules, path);
  return parseUnblocked(kind === 'EMAIL' ? { emails: [value] } : { phones: [value] }, rules, path);
}

/** Only `personalize` drops what names nobody: here it is told. */
function parseUnblocked(identity: UserIdentity, rules: Deployment['rules'], path: readonly string[]): Identifier[] {
  const { identifiers, dropped } = parseUserIdentity(identity, { path, rules });
  if (dropped.length === 0) return identifiers;
  const field = typeof identity.externalUserId === 'string' ? ['externalUserId'] : [];
  throw new DomainError('IDENTIFIER_BLOCKED', 'This names nobody.', [...path, ...field]);
}
