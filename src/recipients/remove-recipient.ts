import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Recipient } from '../generated/prisma/client.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { lockRecipient } from './lock-recipient.ts';
import { addSuppressions, suppressionHash } from './suppressions.ts';

/** Takes an e-mail address or a phone from its user. */
export interface RecipientRemoval {
  principal: string;
  recipientId: string;
  idempotencyKey?: string | null | undefined;
}

/** Whose it was, and which it was. */
export interface RecipientRemoved {
  userId: string;
  recipientId: string;
}

/**
 * Removes an e-mail address or a phone, and that it names its user: another user may have it from then on. What is queued for
 * it ends as `ADDRESS_GONE`. An opt-out stays as a suppression, so that whoever brings the address back, by whichever way,
 * finds it opted out.
 *
 * A push recipient goes with its installation, and an inbox with its user. What alone names a user stays too: a nameless user
 * would be absorbed by whoever is next to be personalized at one of its installations.
 *
 * @throws DomainError `NOT_FOUND`, `VALUE_INVALID`, `STATE_CONFLICT`, `IDEMPOTENCY_KEY_REUSED`; nothing is written then.
 */
export async function removeRecipient(deployment: Deployment, request: RecipientRemoval): Promise<RecipientRemoved> {
  const { principal, idempotencyKey, recipientId } = request;
  const about = { principal, mutation: 'removeRecipient', idempotencyKey, input: { recipientId } };
  return write(deployment, about, async (tx) => {
    const recipient = await lockRecipient(tx, { recipientId, installationId: null });
    const { id, userId, channel, address } = recipient;
    if ((channel !== 'EMAIL' && channel !== 'SMS') || address === null) throw notRemovable(channel);
    await removeIdentifier(tx, { userId, kind: channel === 'EMAIL' ? 'EMAIL' : 'PHONE', value: address });
    await tx.recipient.delete({ where: { id } });
    if (!recipient.isSubscribed) {
      await addSuppressions(tx, [{ channel, addressHash: suppressionHash(deployment.cipher, channel, address) }]);
    }
    // What is claimed already, its worker ends so too: it finds no recipient.
    await tx.$executeRaw(sql`
      update deliveries set status = 'DISCARDED', reason = 'ADDRESS_GONE', status_at = now()
      where recipient_id = ${id}::uuid and status = 'QUEUED'
    `);
    return { userId, recipientId: id };
  });
}

function notRemovable(channel: Recipient['channel']): DomainError {
  const message =
    channel === 'PUSH' ? 'A push recipient goes with its installation.' : 'An inbox goes with its user only.';
  return new DomainError('VALUE_INVALID', message, ['recipient']);
}

/** The user is locked. */
async function removeIdentifier(
  tx: Transaction,
  { userId, kind, value }: { userId: string; kind: 'EMAIL' | 'PHONE'; value: string },
): Promise<void> {
  await tx.identifier.deleteMany({ where: { kind, value, userId } });
  if ((await tx.identifier.count({ where: { userId } })) > 0) return;
  throw new DomainError('STATE_CONFLICT', 'Nothing else names the user: give another identifier first, or erase it.', [
    'recipient',
  ]);
}
