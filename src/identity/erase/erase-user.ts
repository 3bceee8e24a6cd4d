import type { Deployment } from '../../deployment.ts';
import { DomainError } from '../../errors.ts';
import { write } from '../../storage/write.ts';
import { parseUserReference, resolveUserReferences, type UserReferenceInput } from '../user-reference.ts';
import { cancelErasedDeliveries, forgetProviderIds, forgetRenderedMessages } from './erased-deliveries.ts';
import { eraseRows, keepOptOuts, lockFamily } from './erased-rows.ts';
import { lockMentions, withdrawMentions } from './mentions.ts';

/** Forgets a person. */
export interface EraseRequest {
  principal: string;
  user: UserReferenceInput;
  idempotencyKey?: string | null | undefined;
}

/**
 * Erases a user (decision 10) with everybody who was merged into it: identifiers, claims, attributes, memberships, merge
 * records, recipients, installations with their tokens and addresses, and what was rendered for it; where somebody else's
 * rows name it by an identifier, they name it by its id from then on, which is nobody's. What is left are ids, in deliveries,
 * their events and the audit log; counts; and keyed hashes of addresses that were opted out.
 *
 * What is queued ends as `ERASED`, and so does, at its turn, what a worker has claimed: each send asks again right before.
 * Streams of the user's installations end; who follows the user is told these ends, and then nothing more.
 *
 * @throws DomainError `NOT_FOUND`, `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`, `IDEMPOTENCY_KEY_REUSED`; nothing is
 * erased then.
 */
export async function eraseUser(deployment: Deployment, request: EraseRequest): Promise<{ userId: string }> {
  const { principal, idempotencyKey, user } = request;
  const reference = parseUserReference(user, ['user']);
  return write(deployment, { principal, mutation: 'eraseUser', idempotencyKey, input: { user } }, async (tx) => {
    const [userId] = await resolveUserReferences(tx, [reference]);
    if (!userId) throw new DomainError('NOT_FOUND', 'There is no such user.', ['user']);
    // Before the users, as a fan-out holds its notification while it waits for its users.
    const notificationIds = await lockMentions(tx, userId);
    const family = await lockFamily(tx, userId);
    await withdrawMentions(tx, { userId, family, notificationIds });
    await keepOptOuts(tx, deployment.cipher, family);
    const recipientIds = await eraseRows(tx, userId, family);
    await forgetRenderedMessages(tx, { userIds: family, recipientIds });
    await forgetProviderIds(tx, { userIds: family });
    await cancelErasedDeliveries(tx, { userIds: family, recipientIds });
    return { userId };
  });
}
