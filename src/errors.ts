/**
 * Refusals: what a caller can act on. A verb throws one, which aborts its transaction; the mutation declares it as a
 * member of its result, so that the caller receives it as data. Anything else that is thrown is a bug or an outage.
 *
 * Codes and their meanings come from contract.md; each is a GraphQL object type of its own (`graphql/errors.ts`).
 */
export const errorCodes = {
  EMAIL_INVALID: 'An e-mail address is not one that RFC 5322 allows.',
  PHONE_INVALID: 'A phone number is not an international (E.164) number.',
  USER_IDENTITY_INVALID: 'No identifier was given, or none that can name a person.',
  USER_MERGE_INTERRUPTED:
    "An identifier is another user's already. Nothing was written: merge the users, or leave it out.",
  USER_DATA_RESTRICTED: 'The app lets only its back end, with a server key, write this.',
  AMBIGUOUS_PERSONALIZE_CANDIDATES: 'The identifiers name several users. Nothing was written: merge the users first.',
  PERSONALIZATION_IMPOSSIBLE: 'The installation is personalized as another user. Depersonalize it first, or force it.',
  IDENTIFIER_IMMUTABLE: 'The user already has another external user id, which never changes.',
  IDENTIFIER_BLOCKED: 'An identifier is one that names nobody, such as "undefined" or "0".',
  IDENTIFIER_LIMIT_EXCEEDED: 'The user would have more e-mail addresses or phone numbers than a user may have.',
  ATTRIBUTE_INVALID: 'An attribute has a value that it cannot have.',
  MERGE_CONFLICT: 'The two users cannot be joined.',
  MERGE_LIMIT_EXCEEDED: 'More users were merged into this one lately than may be.',
  NOT_FOUND: 'What the input names does not exist, or is not for this caller to see.',
  NO_REGISTRATION: 'No such installation is registered.',
  VALUE_INVALID: 'A value of the input is not acceptable.',
  LIMIT_EXCEEDED: 'The input is larger than the limit.',
  TARGET_EMPTY: 'The target names nobody.',
  SEGMENT_IN_USE:
    "The segment is still used: by another segment, a partner's operation, a label, a template or a send that is under way.",
  IDEMPOTENCY_KEY_REUSED: 'The idempotency key was used before, with another input.',
  NAME_TAKEN: 'The name is in use.',
  STATE_CONFLICT: 'What it is now does not allow this.',
  TOKEN_INVALID: 'The token is not valid for this.',
} as const;

/** Code of a refusal. */
export type ErrorCode = keyof typeof errorCodes;

/** What `extensions.code` of an error outside a payload says that is the caller's to mend; else it is INTERNAL_SERVER_ERROR. */
export const callerErrorCodes: ReadonlySet<unknown> = new Set([
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'THROTTLED',
  'OPERATION_NOT_ALLOWED',
  'OPERATION_TOO_COSTLY',
  'BAD_USER_INPUT',
]);

/**
 * A refusal. `inputPath` names the input field it is about, from the input's root: `['userIdentity', 'emails', '0']`. (Not
 * `path`: GraphQL takes an error with a `path` for one that already knows its place in the answer.)
 */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly code: ErrorCode;
  readonly inputPath: readonly string[] | null;

  constructor(code: ErrorCode, message: string, inputPath: readonly string[] | null = null) {
    super(message);
    this.code = code;
    this.inputPath = inputPath;
  }
}

/** The program cannot start: `message` is one sentence for the operator, and all that is shown. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}
