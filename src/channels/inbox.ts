import { type Database, sql } from '../storage/database.ts';
import type { Channel } from './channel.ts';

/**
 * The in-app inbox: puts the message among the user's items, from where apps read it (`viewer.inbox`) and are told of it
 * (subscription `inbox`). Once a delivery, however often it is sent. Throws when the database is lost.
 */
export function createInboxChannel(db: Database): Channel {
  return {
    name: 'inbox',
    async send({ deliveryId, notificationId, address, content }, signal) {
      if (address.kind !== 'inbox') throw new TypeError('An inbox is a user’s.');
      if (signal.aborted) return { kind: 'retry', providerCode: 'ABORTED' };
      // The lock waits for an erase that is under way. Of who is erased nothing is written any more.
      await db.$executeRaw(sql`
        with person as (select id from users where id = ${address.userId}::uuid for key share)
        insert into inbox_items (id, notification_id, user_id, content)
        select ${deliveryId}::uuid, ${notificationId}::uuid, id, ${JSON.stringify(content)}::jsonb from person
        on conflict (id) do nothing
      `);
      return { kind: 'accepted', providerCode: null };
    },
    close: () => Promise.resolve(),
  };
}
