import { DomainError } from '../errors.ts';
import type { Recipient } from '../generated/prisma/client.ts';
import { camelCaseKeys, sql, type Transaction } from '../storage/database.ts';
import { StaleReadError } from '../storage/transaction.ts';

/** Who changes which recipient. */
export interface RecipientAsked {
  recipientId: string;
  /** The installation that asks, which may name recipients of its own user only. Null: whoever may name any. */
  installationId: string | null;
}

/**
 * Locks a recipient with its user, in the order in which every verb does; the inbox of a merged user is its survivor's. So no
 * merge takes it elsewhere, and no opt-out is written where nobody looks any more.
 *
 * @throws DomainError `NOT_FOUND`, also for one that the asking installation may not see. @throws StaleReadError when it went
 * to another user meanwhile.
 */
export async function lockRecipient(
  tx: Transaction,
  { recipientId, installationId }: RecipientAsked,
): Promise<Recipient> {
  const [meant] = await tx.$queryRaw<{ id: string; user_id: string }[]>(sql`
    select coalesce(inbox.id, asked.id) as id, coalesce(inbox.user_id, asked.user_id) as user_id
    from recipients asked
    join users u on u.id = asked.user_id
    left join recipients inbox on inbox.user_id = u.merged_into_id and inbox.channel = 'IN_APP'
    where asked.id = ${recipientId}::uuid
  `);
  if (!meant) throw notFound();
  const [user] = await tx.$queryRaw<{ is_merged: boolean }[]>(sql`
    select merged_into_id is not null as is_merged from users where id = ${meant.user_id}::uuid for no key update
  `);
  if (!user || user.is_merged) throw new StaleReadError();
  // Whose an installation is does not change while its user is locked.
  const [row] = await tx.$queryRaw<object[]>(sql`
    select r.*, ${installationId}::uuid is null or exists (
      select from installations i where i.id = ${installationId}::uuid and i.user_id = r.user_id
    ) as is_theirs
    from recipients r
    where r.id = ${meant.id}::uuid and r.user_id = ${meant.user_id}::uuid for no key update
  `);
  if (!row) throw new StaleReadError();
  const { isTheirs, ...recipient } = camelCaseKeys<Recipient & { isTheirs: boolean }>(row);
  if (!isTheirs) throw notFound();
  return recipient;
}

function notFound(): DomainError {
  return new DomainError('NOT_FOUND', 'There is no such recipient.', ['recipient']);
}
