import { hashSecret } from '../../src/apps/api-key.ts';
import { newId } from '../../src/ids.ts';
import { sql } from '../../src/storage/database.ts';
import type { Door } from './door.ts';
import { insertDeliveries, insertNotification, insertUser, listLog } from './log-events.ts';
import { globalIdOf } from './send-operations.ts';

/** A notification to one user, which can be subscribed to by either. */
export interface TestTopic {
  /** Global id. */
  readonly notification: string;
  readonly user: { readonly id: string };
  /** Makes so many events by one statement. Answers their deliveries' ids. @param count @default 1 */
  happens(count?: number): Promise<string[]>;
  /** Global ids of the events' deliveries, in order. */
  listDeliveries(): Promise<string[]>;
}

/** Subscribes to the events of a notification, of a user, or of both, with all that costs a statement. */
export const followTopic = `
  subscription ($notification: ID, $after: String, $user: UserRef) {
    deliveryEvents(notification: $notification, after: $after, user: $user) {
      ... on DeliveryEvent { cursor status delivery { id user { id } notification { id } } }
      ... on StreamPosition { cursor state }
    }
  }`;

/** A new notification to a new user. */
export async function makeTopic({ pool, bus }: Pick<Door, 'pool' | 'bus'>): Promise<TestTopic> {
  const [notificationId, userId] = [await insertNotification(pool), await insertUser(pool)];
  return {
    notification: globalIdOf('Notification', notificationId),
    user: { id: globalIdOf('User', userId) },
    async happens(count = 1) {
      const ids = await insertDeliveries(pool, { notificationId, userId, count });
      bus.wake();
      return ids;
    },
    async listDeliveries() {
      const log = await listLog(pool, notificationId);
      return log.map((line) => globalIdOf('Delivery', line.split(' ')[1] ?? ''));
    },
  };
}

/** A server key that is nobody else's. */
export async function makeServerKey({ pool }: Pick<Door, 'pool'>) {
  const [secret, id] = [crypto.randomUUID(), newId()];
  await pool.query(sql`
    insert into api_keys (id, kind, name, secret_hash) values (${id}::uuid, 'SERVER', 'test', ${hashSecret(secret)})`);
  const revoke = () => pool.query(sql`update api_keys set revoked_at = now() where id = ${id}::uuid`);
  return { secret, revoke };
}
