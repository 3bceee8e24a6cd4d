import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { Channel } from '../generated/prisma/enums.ts';
import { lockRecipient } from '../recipients/lock-recipient.ts';
import { sql } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { removeIdentifiers } from './remove-identifiers.ts';

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
    const { id, userId, channel, address } = await lockRecipient(tx, { recipientId, installationId: null });
    if ((channel !== 'EMAIL' && channel !== 'SMS') || address === null) throw notRemovable(channel);
    const kind = channel === 'EMAIL' ? 'EMAIL' : 'PHONE';
    await removeIdentifiers(tx, deployment.cipher, [{ kind, value: address, userId }]);
    const names = await tx.$queryRaw<unknown[]>(sql`select from identifiers where user_id = ${userId}::uuid limit 1`);
    if (names.length === 0) throw new DomainError('STATE_CONFLICT', 'Nothing else names the user.', ['recipient']);
    // What is claimed already, its worker ends so too: it finds no recipient.
    await tx.$executeRaw(sql`
      update deliveries set status = 'DISCARDED', reason = 'ADDRESS_GONE', status_at = now()
      where recipient_id = ${id}::uuid and status = 'QUEUED'
    `);
    return { userId, recipientId: id };
  });
}

function notRemovable(channel: Channel): DomainError {
  const message =
    channel === 'PUSH' ? 'A push recipient goes with its installation.' : 'An inbox goes with its user only.';
  return new DomainError('VALUE_INVALID', message, ['recipient']);
}
