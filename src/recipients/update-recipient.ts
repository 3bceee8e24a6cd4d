import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Recipient } from '../generated/prisma/client.ts';
import type { Cipher } from '../storage/cipher.ts';
import { sql, type Transaction, withChanges } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { toLanguage } from '../users/user-attributes.ts';
import { lockRecipient, type RecipientAsked } from './lock-recipient.ts';
import { liftSuppression, type Suppression, suppressionHash } from './suppressions.ts';

/** How to write to an address. An absent field stays as it is; null removes it. */
export interface RecipientDetails {
  language?: string | null | undefined;
  region?: string | null | undefined;
}

/** Changes a recipient, or says whether its person wants to be written to. */
export interface RecipientUpdate extends RecipientAsked, RecipientDetails {
  principal: string;
  /** False: the person opts out. True: the person subscribes, also again. Absent or null: nobody says anything. */
  isSubscribed?: boolean | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** @default 255 // characters */
const regionCharactersMax = 255;

/**
 * Changes language, region and consent of a recipient of any channel. Whoever says `isSubscribed` is recorded with the time
 * (rule M8). Only this, with `true`, ever ends an opt-out, and then what is remembered of it too; an address that was retired
 * is tried again.
 *
 * @throws DomainError `NOT_FOUND`, `VALUE_INVALID`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function updateRecipient(
  deployment: Deployment,
  request: RecipientUpdate,
): Promise<{ recipientId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const details = parseRecipientDetails(request);
  return write(deployment, { principal, mutation: 'updateRecipient', idempotencyKey, input }, async (tx) => {
    const recipient = await lockRecipient(tx, request);
    const { language, region } = withChanges(recipient, details);
    const said = request.isSubscribed ?? null;
    await tx.$executeRaw(sql`
      update recipients set
        language = ${language}, region = ${region}, is_subscribed = coalesce(${said}::boolean, is_subscribed),
        consent_at = case when ${said !== null} then now() else consent_at end,
        consent_by = case when ${said !== null} then ${principal} else consent_by end,
        retired_at = case when ${said === true} then null else retired_at end
      where id = ${recipient.id}::uuid
    `);
    const suppression = said === true && (await suppressionOf(tx, deployment.cipher, recipient));
    if (suppression) await liftSuppression(tx, suppression);
    return { recipientId: recipient.id };
  });
}

/**
 * Language and region as they are stored: BCP 47 in its canonical form, at most 255 characters.
 *
 * @throws DomainError `VALUE_INVALID` at the field.
 */
export function parseRecipientDetails({ language, region }: RecipientDetails): RecipientDetails {
  const tag = typeof language === 'string' ? toLanguage(language) : language;
  if (typeof language === 'string' && tag === null) {
    throw new DomainError('VALUE_INVALID', 'Not a BCP 47 language tag, such as "en" or "pt-BR".', ['language']);
  }
  if (typeof region === 'string' && [...region].length > regionCharactersMax) {
    throw new DomainError('VALUE_INVALID', `A region has at most ${regionCharactersMax} characters.`, ['region']);
  }
  return { language: tag, region };
}

/** As what a recipient's address would be suppressed; null for an inbox, and for an installation without an address. */
async function suppressionOf(
  tx: Transaction,
  cipher: Cipher,
  { channel, address, installationId }: Recipient,
): Promise<Suppression | null> {
  if ((channel === 'EMAIL' || channel === 'SMS') && address !== null) {
    return { channel, addressHash: suppressionHash(cipher, channel, address) };
  }
  if (installationId === null) return null;
  const [installation] = await tx.$queryRaw<{ address_hash: Uint8Array | null }[]>(
    sql`select address_hash from installations where id = ${installationId}::uuid`,
  );
  return installation?.address_hash ? { channel, addressHash: installation.address_hash } : null;
}
