import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import { parseRecipientDetails, type RecipientDetails } from '../../recipients/update-recipient.ts';
import { sql, type Transaction } from '../../storage/database.ts';
import { write } from '../../storage/write.ts';
import type { Identifier } from '../identifier.ts';
import { cancelPersonTargetedDeliveries } from '../installation-owner.ts';
import type { UserReferenceInput } from '../user-reference.ts';
import { type ParsedSave, parseSave, type UserSave } from './parse-save.ts';
import { saveBatch } from './save-batch.ts';

/** Adds an e-mail address or a phone, exactly one, to a profile. */
export interface RecipientAddition extends RecipientDetails {
  principal: string;
  user: UserReferenceInput;
  /** Makes the user, if the reference is an identifier that names nobody. @default false */
  create?: boolean | null | undefined;
  email?: string | null | undefined;
  phone?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** Which it is, and whose. */
export interface RecipientAdded {
  recipientId: string;
  userId: string;
}

/**
 * Adds an address with its language and region to a profile (rule U12), as `saveUser` adds one. Of an address that the user
 * has already, language and region are written, where they are given, and if it was retired it is tried again; an opt-out
 * stays in any case.
 *
 * @throws DomainError `NOT_FOUND`, `USER_MERGE_INTERRUPTED`, `IDENTIFIER_BLOCKED`, `IDENTIFIER_LIMIT_EXCEEDED`,
 * `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function addRecipient(deployment: Deployment, request: RecipientAddition): Promise<RecipientAdded> {
  const { principal, idempotencyKey, ...input } = request;
  const { user, create } = request;
  const { field, addresses } = theOneAddress(request);
  const details = parseRecipientDetails(request);
  const parsed = parseAddition(deployment, { user, create, ...addresses }, field);
  return write(deployment, { principal, mutation: 'addRecipient', idempotencyKey, input }, async (tx) => {
    const { results, takenInstallationIds } = await saveBatch(tx, deployment, [parsed]);
    const [saved] = results;
    if (!saved) throw new Error('A save has no result.');
    if (saved instanceof DomainError) throw atAddress(saved, field);
    const [address] = parsed.identifiers;
    if (!address) throw new Error('An address is no identifier.');
    const recipientId = await describeRecipient(tx, address, details);
    await cancelPersonTargetedDeliveries(tx, takenInstallationIds);
    return { recipientId, userId: saved.userId };
  });
}

/** Writes language and region, where they are given, to the recipient of an identifier. @returns its id. */
async function describeRecipient(
  tx: Transaction,
  { kind, value }: Identifier,
  { language, region }: RecipientDetails,
): Promise<string> {
  const [row] = await tx.$queryRaw<{ id: string }[]>(sql`
    update recipients set
      language = case when ${language === undefined} then language else ${language ?? null} end,
      region = case when ${region === undefined} then region else ${region ?? null} end,
      retired_at = null
    where channel = ${kind === 'EMAIL' ? 'EMAIL' : 'SMS'}::channel and address = ${value}
    returning id
  `);
  if (!row) throw new Error('An address has no recipient.');
  return row.id;
}

type AddressField = 'email' | 'phone';

function theOneAddress({ email, phone }: RecipientAddition) {
  if (typeof email === 'string' && typeof phone !== 'string') {
    return { field: 'email' as const, addresses: { emails: [email] } };
  }
  if (typeof phone === 'string' && typeof email !== 'string') {
    return { field: 'phone' as const, addresses: { phones: [phone] } };
  }
  throw new DomainError('VALUE_INVALID', 'Give an e-mail address or a phone, and not both.', ['email']);
}

function parseAddition(deployment: Deployment, save: UserSave, field: AddressField): ParsedSave {
  try {
    return parseSave(save, deployment, []);
  } catch (error) {
    throw error instanceof DomainError ? atAddress(error, field) : error;
  }
}

/** A save's refusal, about the field that this input has in place of lists. */
function atAddress({ code, message, inputPath }: DomainError, field: AddressField): DomainError {
  const isOfUser = inputPath?.[0] === 'user';
  return new DomainError(code, message, isOfUser ? inputPath : [field]);
}
