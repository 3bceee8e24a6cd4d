import { sql, type Transaction } from '../../storage/database.ts';

/** Whose deliveries: made for these users, or to these recipients. */
interface Erased {
  userIds: readonly string[];
  recipientIds: readonly string[];
}

/**
 * Forgets what was written out for who is erased. What a worker writes out at this moment waits for the user's lock, and then
 * is not written (`channels/outbox.ts`).
 */
export async function forgetRenderedMessages(tx: Transaction, { userIds, recipientIds }: Erased): Promise<void> {
  await tx.$executeRaw(sql`
    delete from outbox_messages m using deliveries d
    where d.id = m.delivery_id
      and (d.user_id = any(${[...userIds]}::uuid[]) or d.recipient_id = any(${[...recipientIds]}::uuid[]))
  `);
}

/** Forgets what providers call the messages to who is erased: it leads to records of theirs. */
export async function forgetProviderIds(tx: Transaction, { userIds }: Pick<Erased, 'userIds'>): Promise<void> {
  await tx.$executeRaw(sql`
    with known as (
      select id from deliveries
      where user_id = any(${[...userIds]}::uuid[]) and provider_message_id is not null
      order by id
      for no key update
    )
    update deliveries d set provider_message_id = null from known where d.id = known.id
  `);
}

/**
 * Ends what is queued for who is erased. What was addressed to an installation that belongs to somebody else by now stays.
 * Changes deliveries, so it is the last statement of its transaction.
 */
export async function cancelErasedDeliveries(tx: Transaction, { userIds, recipientIds }: Erased): Promise<void> {
  await tx.$executeRaw(sql`
    with queued as (
      select id from deliveries
      where status = 'QUEUED' and (
        recipient_id = any(${[...recipientIds]}::uuid[]) or (user_id = any(${[...userIds]}::uuid[]) and not is_broadcast)
      )
      order by id
      for no key update
    )
    update deliveries d set status = 'CANCELLED', reason = 'ERASED', status_at = now()
    from queued
    where d.id = queued.id
  `);
}
